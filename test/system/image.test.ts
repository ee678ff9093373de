import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import tap, { type Test, test } from 'tap'
import { findFreePort } from '../support/free-port.ts'
import { SECRET } from '../support/token.ts'
import { until } from '../support/until.ts'

// Compiled tests are in dist/test/system/.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const FIXTURES = join(ROOT, 'test/fixtures')

/** The settings that the image requires beside a key. */
const REQUIRED = { ALLOWED_ORIGINS: '*', DEFAULT_GRANTS: '*' }

/** The last stage of the Dockerfile, as far as it matters here. */
interface Runtime {
  /** What is copied: from, to. */
  copies: [string, string][]
  environment: Record<string, string>
  user: string
  command: string[]
  healthCheck: string[]
}

function readRuntime (): Runtime {
  const lines = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ').split('\n')
  const stage = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')))
  const all = (instruction: string) =>
    stage.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1))
  const json = (text = '') => JSON.parse(text.slice(text.indexOf('['))) as string[]
  return {
    copies: all('COPY').flatMap((line) => {
      const words = line.split(/\s+/).filter((word) => !word.startsWith('--'))
      const target = words.pop() ?? ''
      return words.map((source): [string, string] => [source.replace('/app/', ''), target.endsWith('/') ? join(target, source) : target])
    }),
    environment: Object.fromEntries(all('ENV').flatMap((line) => line.split(/\s+/)).map((pair) => pair.split('=') as [string, string])),
    user: all('USER').at(-1) ?? '',
    command: json(all('CMD').at(-1)),
    healthCheck: json(all('HEALTHCHECK').at(-1))
  }
}

/** An entry of the lock file. Workspaces are links. */
interface LockedPackage {
  dev?: boolean
  devOptional?: boolean
  link?: boolean
}

/** The packages that the Dockerfile's second `npm ci` installs at the top of `node_modules`. */
function readDependencies (): string[] {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Record<string, LockedPackage> }
  const isInstalled = ({ dev = false, devOptional = false, link = false }: LockedPackage): boolean => !dev && !devOptional && !link
  return Object.entries(packages)
    .filter(([path, locked]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && isInstalled(locked))
    .map(([path]) => path)
}

/** Puts the image's files into a folder, without the packages that are for development alone. */
function layOut (folder: string, { copies }: Runtime): void {
  for (const [source, target] of copies) {
    if (source === 'node_modules') continue
    cpSync(join(ROOT, source), join(folder, target), {
      recursive: true,
      filter: (path) => !path.startsWith(join(ROOT, 'dist/test'))
    })
  }
  for (const path of readDependencies()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    symlinkSync(join(ROOT, path), join(folder, path))
  }
}

/** Runs a command of the image in its folder; kills it when the test is over. */
function run (
  t: Test,
  folder: string,
  [program, ...parameters]: string[],
  environment: Record<string, string>
): { child: ChildProcess, output: () => string, exited: Promise<number> } {
  t.equal(program, 'node')
  const child = spawn(process.execPath, parameters, { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += String(chunk) })
  const exited = once(child, 'close').then(([code]: number[]) => code ?? -1)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return { child, output: () => output, exited }
}

const runtime = readRuntime()
// Away from this project, where everything that it has installed would be found.
const folder = mkdtempSync(join(tmpdir(), 'roomcast-image-'))
tap.teardown(() => { rmSync(folder, { recursive: true }) })
layOut(folder, runtime)

test('the image gets the packages of the service and none of the client', (t) => {
  const { scripts, dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: { build: string }
    dependencies: object
  }
  const installed = readDependencies()
  t.strictSame(Object.keys(dependencies).filter((name) => !installed.includes(`node_modules/${name}`)), [])
  t.strictSame(installed.filter((path) => /react|@roomcast/.test(path)), [])
  t.notMatch(scripts.build, /client/, 'the build stage has no sources of the client')
  t.end()
})

test('the image is for production, and does not run as root', async (t) => {
  t.match(runtime.environment, { NODE_ENV: 'production', HOST: '0.0.0.0', DRAIN_DELAY_MS: '5000' })
  t.match(runtime.user, /^[1-9]\d*:[1-9]\d*$/)
})

for (const [what, tls] of [
  ['http', {}],
  ['https', { TLS_CERT_FILE: join(FIXTURES, 'certificate.pem'), TLS_KEY_FILE: join(FIXTURES, 'key.pem') }]
] as const) {
  test(`the files of the image serve ${what} on another port, their health check sees it, and SIGTERM ends it with 0`, async (t) => {
    const port = String(await findFreePort())
    const environment = { ...runtime.environment, ...REQUIRED, ...tls, PORT: port, JWT_SECRET: SECRET, DRAIN_DELAY_MS: '0' }
    const early = run(t, folder, runtime.healthCheck, environment)
    t.equal(await early.exited, 1, 'not there yet')
    t.match(early.output(), /^roomcast: not alive: .*ECONNREFUSED/)

    const service = run(t, folder, runtime.command, environment)
    await until(() => service.output().includes(`listens on ${what}://0.0.0.0:${environment.PORT}`) || service.child.exitCode !== null, 'the service to listen')
    const check = run(t, folder, runtime.healthCheck, environment)
    t.equal(await check.exited, 0, check.output())

    service.child.kill('SIGTERM')
    t.equal(await service.exited, 0)
  })
}

test('the health check fails when the service does not answer', async (t) => {
  const environment = { ...runtime.environment, ...REQUIRED, PORT: String(await findFreePort()), JWT_SECRET: SECRET }
  const service = run(t, folder, runtime.command, environment)
  await until(() => service.output().includes('listens on') || service.child.exitCode !== null, 'the service to listen')
  service.child.kill('SIGSTOP')
  const check = run(t, folder, runtime.healthCheck, environment)
  t.equal(await check.exited, 1)
  t.match(check.output(), /^roomcast: not alive: /)
})
