import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
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

const PYTHON_WEBSOCKETS: Program = {
  package: 'python3-websockets',
  // Another Python on the PATH does not see Debian's packages.
  find: () => ['/usr/bin/python3', onPath('python3')].find((python) => python !== undefined && existsSync(python) && succeeds(python, ['-c', 'import websockets'])),
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

function obtain (t: Test, { package: name, find, requiredBy }: Program): string | undefined {
  const program = find() ?? (install(name) ? find() : undefined)
  if (program !== undefined) return program
  const message = `${name} is not here and cannot be installed`
  if (process.env[requiredBy] === '1') throw new Error(`${message}, and ${requiredBy} is set`)
  console.error(`\n*** SKIPPED: ${t.name}: ${message}. ***\n`)
  t.plan(0, message)
  return undefined
}

function install (name: string): boolean {
  if (process.getuid?.() !== 0 || onPath('apt-get') === undefined) return false
  const get = ['install', '-y', '-qq', '--no-install-recommends', name]
  return succeeds('apt-get', get) || (succeeds('apt-get', ['update', '-qq']) && succeeds('apt-get', get))
}

function succeeds (command: string, parameters: string[]): boolean {
  try {
    execFileSync(command, parameters, { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
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
