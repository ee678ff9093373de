import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'tap'
import { packClient } from '../support/client-package.ts'
import { requireTools, runTool } from '../support/tools.ts'

// Compiled tests are in dist/test/packages/.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** Packs the service into a folder, and returns the path of the archive. */
async function packService (folder: string): Promise<string> {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT })
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
  return join(folder, filename)
}

for (const [name, pack, ignored] of [
  // A page starts the script of the worker; no module of CommonJS imports it.
  ['@roomcast/client', async (folder: string) => (await packClient(folder)).archive, ['--exclude-entrypoints', 'tabs/worker']],
  // The service is an ES module only.
  ['roomcast', packService, ['--ignore-rules', 'cjs-resolves-to-esm']]
] as const) {
  test(`publint and attw find nothing in ${name}`, async (t) => {
    if (!await requireTools(t)) return
    const folder = t.testdir({})
    const archive = await pack(folder)
    t.match(await runTool(folder, 'publint', ['run', archive, '--strict']), 'All good!')
    t.match(await runTool(folder, 'attw', [archive, ...ignored]), 'No problems found')
  })
}
