import { execFile } from 'node:child_process'
import { cp, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'tap'

// Compiled tests are in dist/test/.
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

/** Imports that break the layers: the importing file, and what it imports. */
const FORBIDDEN = [
  ['src/protocol/probe.ts', '../errors.ts'],
  ['src/events/probe.ts', '../protocol/position.ts'],
  ['src/auth/probe.ts', '../config.ts'],
  ['src/transport/probe.ts', '../hub/hub.ts'],
  ['src/redis/probe.ts', '../broker/broker.ts'],
  ['src/hub/probe.ts', '../log.ts'],
  ['src/hub/probe.ts', '../rooms/rooms.ts'],
  ['src/broker/probe.ts', '../hub/hub.ts'],
  ['src/presence/probe.ts', '../rooms/policies.ts'],
  ['src/rooms/probe.ts', '../app.ts'],
  ['src/rooms/probe.ts', '../connections/limits.ts'],
  ['src/rooms/probe.ts', 'fastify'],
  ['src/commands/probe.ts', '../connections/connections.ts'],
  ['src/connections/probe.ts', '../../plugins/errors.ts'],
  ['src/probe.ts', '../routes/ws.ts'],
  ['src/probe.ts', './errors.ts'],
  ['src/log.ts', './config.ts'],
  ['src/server.ts', './hub/hub.ts'],
  ['routes/probe.ts', '../plugins/errors.ts'],
  ['routes/probe.ts', '../src/hub/hub.ts'],
  ['routes/v1/rooms/probe.ts', '../../../src/rooms/rooms.ts'],
  ['plugins/probe.ts', '../routes/ws.ts'],
  ['plugins/probe.ts', './errors.ts'],
  ['plugins/probe.ts', '../src/app.ts'],
  ['client/probe.ts', '../src/protocol/codec.ts'],
  ['client/probe.ts', '../src/errors.ts'],
  ['client/probe.ts', 'node:fs'],
  ['client/probe.ts', 'ws'],
  ['client/react/probe.ts', '../room.ts'],
  ['client/publisher/probe.ts', '../client.ts']
] as const

const ALLOWED = [
  ['src/rooms/probe.ts', '../transport/batch.ts'],
  ['src/rooms/probe.ts', '../errors.ts'],
  ['src/hub/probe.ts', '../events/index.ts'],
  ['src/connections/probe.ts', '../commands/inbox.ts'],
  ['routes/v1/rooms/probe.ts', '../../../src/problem.ts'],
  ['plugins/probe.ts', '../src/rooms/rooms.ts'],
  ['client/probe.ts', '../src/protocol/close-codes.ts']
] as const

interface Report {
  filePath: string
  messages: { ruleId: string | null }[]
}

test('an import that the layers forbid fails the linter, and one that they allow does not', async (t) => {
  // A copy, so that the linter of the project itself never sees these files.
  const folder = t.testdir({})
  for (const name of ['eslint.config.js', 'eslint.imports.js', 'tsconfig.json', 'package.json', 'src', 'plugins', 'routes', 'client']) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true, filter: (path) => !/node_modules|client\/dist/.test(path) })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const probes = new Map<string, { file: string, target: string, isForbidden: boolean }>()
  const add = async (file: string, target: string, isForbidden: boolean): Promise<void> => {
    // A file of its own for each import; an existing file at src/ is replaced, because its list is by its name.
    const name = file.replace(/probe\.ts$/, `probe-${probes.size}.ts`)
    await writeFile(join(folder, name), `import * as other from '${target}'\n\nexport const probe = other\n`)
    probes.set(join(folder, name), { file, target, isForbidden })
  }
  for (const [file, target] of FORBIDDEN) await add(file, target, true)
  for (const [file, target] of ALLOWED) await add(file, target, false)

  const { stdout } = await run(process.execPath, [join(ROOT, 'node_modules/eslint/bin/eslint.js'), '--format', 'json', ...probes.keys()], {
    cwd: folder,
    maxBuffer: 2 ** 26
  }).catch((error: unknown) => error as { stdout: string })
  const reports = JSON.parse(stdout) as Report[]
  t.equal(reports.length, probes.size)
  for (const { filePath, messages } of reports) {
    const probe = probes.get(filePath)
    const isRefused = messages.some(({ ruleId }) => ruleId === '@typescript-eslint/no-restricted-imports')
    t.equal(isRefused, probe?.isForbidden, `${probe?.file} ${probe?.isForbidden === true ? 'must not' : 'may'} import ${probe?.target}`)
  }
})
