import { execFile } from 'node:child_process'
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'tap'

// Compiled tests are in dist/test/.
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

/** Imports that break the layers: the importing file and its import. */
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
  ['routes/probe.ts', '../client/index.ts'],
  ['routes/v1/probe.ts', '../../../project/src/hub/hub.ts'],
  ['src/new-folder/probe.ts', '../rooms/rooms.ts'],
  ['src/new-folder/probe.ts', 'fastify'],
  ['plugins/probe.ts', '../routes/ws.ts'],
  ['plugins/probe.ts', './errors.ts'],
  ['plugins/probe.ts', '../src/app.ts'],
  ['client/probe.ts', '../src/protocol/codec.ts'],
  ['client/probe.ts', '../src/errors.ts'],
  ['client/probe.ts', 'node:fs'],
  ['client/probe.ts', 'ws'],
  ['client/react/probe.ts', '../room.ts'],
  ['client/publisher/probe.ts', '../client.ts'],
  ['client/publisher/probe.ts', '../room.ts']
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

/** Other ways to import: each is refused where the import is forbidden. */
const FORMS = [
  (target: string) => `export const probe = async () => await import('${target}')`,
  (target: string) => `export * from '${target}'`,
  (target: string) => `import '${target}'`,
  (target: string) => `export type Probe = typeof import('${target}')`,
  (target: string) => `import probe = require('${target}')\n\nexport { probe }`
]

/** Imports that may only be types. */
const TYPES = [
  ['src/transport/probe.ts', 'ws'],
  ['src/log.ts', 'fastify'],
  ['routes/probe.ts', '../src/hub/hub.ts'],
  ['client/probe.ts', '../src/protocol/frames.ts']
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
  const probes = new Map<string, { code: string, file: string, isForbidden: boolean }>()
  const add = async (file: string, code: string, isForbidden: boolean): Promise<void> => {
    // A file for each import; an existing file at src/ is replaced, because its list is by its name.
    const name = file.replace(/probe\.ts$/, `probe-${probes.size}.ts`)
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), `${code}\n`)
    probes.set(join(folder, name), { code, file, isForbidden })
  }
  const value = (target: string): string => `import * as other from '${target}'\n\nexport const probe = other`
  const type = (target: string): string => `import type * as other from '${target}'\n\nexport type Probe = typeof other`
  for (const [file, target] of FORBIDDEN) await add(file, value(target), true)
  for (const form of FORMS) await add('src/hub/probe.ts', form('../rooms/rooms.ts'), true)
  for (const form of FORMS) await add('routes/probe.ts', form('../plugins/errors.ts'), true)
  for (const [file, target] of ALLOWED) await add(file, value(target), false)
  await add('src/rooms/probe.ts', "export const probe = async () => await import('../transport/batch.ts')", false)
  for (const [file, target] of TYPES) {
    if (!probes.has(join(folder, file))) await add(file, type(target), false)
    if (file.endsWith('probe.ts')) await add(file, value(target), true)
  }

  const { stdout } = await run(process.execPath, [join(ROOT, 'node_modules/eslint/bin/eslint.js'), '--format', 'json', ...probes.keys()], {
    cwd: folder,
    maxBuffer: 2 ** 26
  }).catch((error: unknown) => error as { stdout: string })
  const reports = JSON.parse(stdout) as Report[]
  t.equal(reports.length, probes.size)
  for (const { filePath, messages } of reports) {
    const probe = probes.get(filePath)
    const isRefused = messages.some(({ ruleId }) => /no-restricted-(?:imports|syntax)/.test(ruleId ?? ''))
    t.equal(isRefused, probe?.isForbidden, `${probe?.file} ${probe?.isForbidden === true ? 'must not have' : 'may have'}: ${probe?.code}`)
  }
})
