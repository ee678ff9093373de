import { execFile } from 'node:child_process'
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Test, test } from 'tap'

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
  ['client/react/probe.ts', 'vue'],
  ['client/stores/probe.ts', '../room.ts'],
  ['client/stores/probe.ts', 'react'],
  ['client/vue/probe.ts', 'react'],
  ['client/vue/probe.ts', '../react/index.ts'],
  ['client/svelte/probe.ts', 'svelte/store'],
  ['client/publisher/probe.ts', '../client.ts'],
  ['client/publisher/probe.ts', '../room.ts'],
  ['client/tabs/probe.ts', '../room.ts']
] as const

const ALLOWED = [
  ['src/rooms/probe.ts', '../transport/batch.ts'],
  ['src/rooms/probe.ts', '../errors.ts'],
  ['src/hub/probe.ts', '../events/index.ts'],
  ['src/connections/probe.ts', '../commands/inbox.ts'],
  ['routes/v1/rooms/probe.ts', '../../../src/problem.ts'],
  ['plugins/probe.ts', '../src/rooms/rooms.ts'],
  ['client/probe.ts', '../src/protocol/close-codes.ts'],
  ['client/vue/probe.ts', '../stores/room-store.ts'],
  ['client/svelte/probe.ts', '../index.ts']
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

interface Probe {
  /** `probe.ts` in a folder is a file for each probe; any other file is replaced, because its list is by its name. */
  file: string
  code: string
}

/** Lints each probe in a copy of the project, so that the linter of the project itself never sees the files; returns the rules broken. */
async function lint (t: Test, probes: readonly Probe[]): Promise<string[][]> {
  const folder = t.testdir({})
  for (const name of ['eslint.config.js', 'eslint.imports.js', 'tsconfig.json', 'package.json', 'src', 'plugins', 'routes', 'client']) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true, filter: (path) => !/node_modules|client\/dist/.test(path) })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const paths: string[] = []
  for (const { file, code } of probes) {
    const path = join(folder, file.replace(/probe\.ts$/, `probe-${paths.length}.ts`))
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, `${code}\n`)
    paths.push(path)
  }
  const { stdout } = await run(process.execPath, [join(ROOT, 'node_modules/eslint/bin/eslint.js'), '--format', 'json', ...paths], {
    cwd: folder,
    maxBuffer: 2 ** 26
  }).catch((error: unknown) => error as { stdout: string })
  const reports = new Map((JSON.parse(stdout) as Report[]).map(({ filePath, messages }) => [filePath, messages]))
  return paths.map((path) => reports.get(path)?.map(({ ruleId }) => ruleId ?? '') ?? ['not linted'])
}

test('an import that the layers forbid fails the linter, and one that they allow does not', async (t) => {
  const probes: (Probe & { isForbidden: boolean })[] = []
  const add = (file: string, code: string, isForbidden: boolean): void => { probes.push({ file, code, isForbidden }) }
  const value = (target: string): string => `import * as other from '${target}'\n\nexport const probe = other`
  const type = (target: string): string => `import type * as other from '${target}'\n\nexport type Probe = typeof other`
  for (const [file, target] of FORBIDDEN) add(file, value(target), true)
  for (const form of FORMS) add('src/hub/probe.ts', form('../rooms/rooms.ts'), true)
  for (const form of FORMS) add('routes/probe.ts', form('../plugins/errors.ts'), true)
  for (const [file, target] of ALLOWED) add(file, value(target), false)
  add('src/rooms/probe.ts', "export const probe = async () => await import('../transport/batch.ts')", false)
  for (const [file, target] of TYPES) {
    if (!probes.some((probe) => probe.file === file && !file.endsWith('probe.ts'))) add(file, type(target), false)
    if (file.endsWith('probe.ts')) add(file, value(target), true)
  }

  const rules = await lint(t, probes)
  for (const [i, { file, code, isForbidden }] of probes.entries()) {
    const isRefused = rules[i]?.some((rule) => /no-restricted-(?:imports|syntax)|not linted/.test(rule))
    t.equal(isRefused, isForbidden, `${file} ${isForbidden ? 'must not have' : 'may have'}: ${code}`)
  }
})

test('a regular expression that takes more than linear time fails the linter', async (t) => {
  const slow = ['/\\beyJ[\\w-]+\\.eyJ[\\w-]+\\.[\\w-]*/g', '/=+$/', '/^(?:a+)+$/', '/\\s+$/']
  const linear = ['/[\\w.-]+/g', '/^Bearer +(\\S+) *$/i', '/[?&]token=[^&#]*/g']
  const folders = ['src', 'src/auth', 'plugins', 'routes/v1', 'client']
  const probes = folders.flatMap((folder) => [...slow, ...linear].map((expression) => (
    { file: `${folder}/probe.ts`, code: `export const PROBE = ${expression}`, isSlow: slow.includes(expression) }
  )))
  const rules = await lint(t, probes)
  for (const [i, { file, code, isSlow }] of probes.entries()) {
    t.equal(rules[i]?.includes('redos/no-vulnerable'), isSlow, `${file} ${isSlow ? 'must not have' : 'may have'}: ${code}`)
  }
})
