import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

/** A program that some tests need and npm does not have. */
interface Program {
  /** The Debian package. */
  package: string
  /** Finds it on this machine. */
  find: () => string | undefined
  /** Set to make its absence a failure. */
  requiredBy: string
}

const CHROMIUM: Program = {
  package: 'chromium',
  find: () => process.env.CHROMIUM ?? onPath('chromium', 'chromium-browser', 'google-chrome'),
  requiredBy: 'REQUIRE_BROWSER'
}

const PYTHON: Program = {
  package: 'python3',
  find: () => onPath('python3'),
  requiredBy: 'REQUIRE_PYTHON'
}

const PYTHON_WEBSOCKETS: Program = {
  package: 'python3-websockets',
  // Another Python on the PATH does not see Debian's packages.
  find: () => ['/usr/bin/python3', onPath('python3')].find((python) => {
    return python !== undefined && existsSync(python) && succeeds(python, ['-c', 'import websockets'])
  }),
  requiredBy: 'REQUIRE_PYTHON'
}

const NGINX: Program = {
  package: 'nginx',
  find: () => onPath('nginx') ?? inSbin('nginx'),
  requiredBy: 'REQUIRE_PROXY'
}

const HAPROXY: Program = {
  package: 'haproxy',
  find: () => onPath('haproxy') ?? inSbin('haproxy'),
  requiredBy: 'REQUIRE_PROXY'
}

/** The arguments for a headless Chromium that leaves the network alone. */
export const CHROMIUM_ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'
]

/** A Chromium, found or installed; without one the test is skipped, loudly. */
export function findChromium (t: Test): string | undefined {
  return obtain(t, CHROMIUM)
}

/** A Python, found or installed; without one the test is skipped, loudly. */
export function findPython (t: Test): string | undefined {
  return obtain(t, PYTHON)
}

/** A Python with the `websockets` package, found or installed; without one the test is skipped, loudly. */
export function findPythonWebsockets (t: Test): string | undefined {
  return obtain(t, PYTHON_WEBSOCKETS)
}

/** An nginx, found or installed; without one the test is skipped, loudly. */
export function findNginx (t: Test): string | undefined {
  return obtain(t, NGINX)
}

/** An HAProxy, found or installed; without one the test is skipped, loudly. */
export function findHaproxy (t: Test): string | undefined {
  return obtain(t, HAPROXY)
}

/** How a Redis server is run: a program, and what stands before its own arguments. */
export interface RedisProgram {
  command: string
  parameters: string[]
  environment?: Record<string, string>
  /** It runs in a container, which is to be given a name and gets the signals by that. */
  container?: true
}

/** What the service needs: streams whose ids Redis completes, and sharded pub/sub. */
const OLDEST_REDIS = 7

/** A Redis of a version that the service works with; all its ports are on this machine. */
const REDIS_IMAGE = 'redis:7-alpine'
const REDIS_PACKAGES = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1', 'liblua5.1-0', 'lua-bitop', 'lua-cjson']
const REDIS_CACHE = fileURLToPath(new URL('../../../node_modules/.cache/roomcast-redis', import.meta.url))

/**
 * A Redis server: on the PATH, in a package that was unpacked before, unpacked now, installed, or in a container. No
 * step needs the ones after it.
 */
export function obtainRedis (): RedisProgram | undefined {
  return redisOnPath() ?? unpackedRedis() ?? (install('redis-server') ? redisOnPath() : undefined) ?? redisImage()
}

/** A Redis server, found or installed; without one the test is skipped, loudly. */
export function findRedis (t: Test): RedisProgram | undefined {
  const program = obtainRedis()
  if (program !== undefined) return program
  miss(t, 'redis-server', 'REQUIRE_REDIS')
  return undefined
}

function redisOnPath (): RedisProgram | undefined {
  return ofAge(onPath('redis-server', 'valkey-server'))
}

function ofAge (command: string | undefined, environment: Record<string, string> = {}): RedisProgram | undefined {
  if (command === undefined) return undefined
  try {
    const version = execFileSync(command, ['--version'], {
      encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, ...environment }
    })
    return Number(/v=(\d+)/.exec(version)?.[1]) >= OLDEST_REDIS ? { command, parameters: [], environment } : undefined
  } catch {
    return undefined
  }
}

/** From Debian's packages, which are fetched and unpacked without being installed: that needs no root. */
function unpackedRedis (): RedisProgram | undefined {
  if (!existsSync(REDIS_CACHE) && onPath('apt-get') !== undefined && onPath('dpkg') !== undefined) unpackRedis()
  const command = join(REDIS_CACHE, 'usr/bin/redis-server')
  if (!existsSync(command)) return undefined
  const libraries = readdirSync(join(REDIS_CACHE, 'usr/lib')).map((folder) => join(REDIS_CACHE, 'usr/lib', folder))
  return ofAge(command, { LD_LIBRARY_PATH: libraries.join(delimiter) })
}

function unpackRedis (): void {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-redis-'))
  const known = REDIS_PACKAGES.filter((name) => succeeds('apt-cache', ['show', name]))
  if (succeeds('apt-get', ['download', '-qq', ...known], undefined, folder)) {
    const unpacked = join(folder, 'unpacked')
    const packages = readdirSync(folder).filter((name) => name.endsWith('.deb'))
    if (packages.every((name) => succeeds('dpkg', ['-x', join(folder, name), unpacked]))) {
      mkdirSync(join(REDIS_CACHE, '..'), { recursive: true })
      // In one step, for test files run side by side; whoever comes second has it already.
      try {
        renameSync(unpacked, REDIS_CACHE)
      } catch {
        succeeds('cp', ['-r', unpacked, REDIS_CACHE])
      }
    }
  }
  rmSync(folder, { recursive: true, force: true })
}

function redisImage (): RedisProgram | undefined {
  const docker = onPath('docker')
  if (docker === undefined || !succeeds(docker, ['image', 'pull', '-q', REDIS_IMAGE])) return undefined
  return {
    command: docker,
    container: true,
    parameters: ['run', '--rm', '--network', 'host', '--volume', `${tmpdir()}:${tmpdir()}`, REDIS_IMAGE, 'redis-server']
  }
}

function obtain (t: Test, { package: name, find, requiredBy }: Program): string | undefined {
  const program = find() ?? (install(name) ? find() : undefined)
  if (program !== undefined) return program
  miss(t, name, requiredBy)
  return undefined
}

function miss (t: Test, name: string, requiredBy: string): void {
  const message = `${name} is not here and cannot be installed`
  if (process.env[requiredBy] === '1') throw new Error(`${message}, and ${requiredBy} is set`)
  skip(t, message)
}

/** Skips a test, loudly. */
export function skip (t: Test, reason: string): void {
  console.error(`\n*** SKIPPED: ${t.name}: ${reason}. ***\n`)
  t.plan(0, reason)
}

function install (name: string): boolean {
  if (process.getuid?.() !== 0 || onPath('apt-get') === undefined) return false
  // Several test files may ask for it at once.
  const apt = (...parameters: string[]) =>
    succeeds('flock', [join(tmpdir(), 'roomcast-apt.lock'), 'apt-get', '-qq', '-o', 'DPkg::Lock::Timeout=60', ...parameters])
  const get = ['install', '-y', '--no-install-recommends', name]
  return apt(...get) || (apt('update') && apt(...get))
}

function succeeds (command: string, parameters: string[], environment: Record<string, string> = {}, cwd?: string): boolean {
  try {
    execFileSync(command, parameters, { stdio: 'ignore', cwd, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', ...environment } })
    return true
  } catch {
    return false
  }
}

function onPath (...names: string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => existsSync(file))
}

/** Where Debian has servers; not on everybody's PATH. */
function inSbin (name: string): string | undefined {
  return [join('/usr/sbin', name)].find((file) => existsSync(file))
}
