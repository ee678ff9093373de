import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { BENCH, ROOT } from './folders.ts'
import type { LoadOptions, LoadResult } from './load/options.ts'
import { type Command, findProgram, type Peer } from './peers.ts'

const GENERATOR = fileURLToPath(new URL('load/index.js', import.meta.url))
/** For tokens. */
export const SECRET = 'a secret of the benchmarks, long enough'
/** A server listens within this, ms. */
const PATIENCE_MS = 15_000
/** Between two attempts to connect to it, ms. */
const POLL_MS = 4
/** File descriptors that are asked for. */
const DESCRIPTORS = 65_536
/** Of those, what a process needs for itself. */
const OWN_DESCRIPTORS = 200
/** Below the ports that are given to outgoing connections. */
const FIRST_PORT = 20_000
const PORTS = 10_000

/** The cores that this process may run on: not always all, and not always from 0 on. */
const cores = readCores()
/** The core of what is measured, and the core of everything else. */
export const CORES = { server: cores[0] ?? 0, others: cores[1] ?? 0 }

const children = new Set<ChildProcess>()
const folders = new Set<string>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => { process.exit(1) })

const taskset = cores.length > 1 ? findProgram('taskset') : undefined
const setpriv = findProgram('setpriv')

/** Whether processes can be given a core each. */
export const pinned = taskset !== undefined

/** Connections that a process may have. */
export const maxConnections = Number(execFileSync('sh', ['-c', `${raiseDescriptors()} ulimit -n`], { encoding: 'utf8' })) - OWN_DESCRIPTORS

/** See proc(5), `/proc/[pid]/status`: `0-3,8` and the like. */
function readCores (): number[] {
  const [, list = ''] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? []
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}

function raiseDescriptors (): string {
  return `ulimit -n ${DESCRIPTORS} 2>/dev/null || ulimit -n $(ulimit -Hn);`
}

/** A process on a core, which ends when this one does, however that ends. */
export function start ({ command, parameters, environment }: Command, core: number): ChildProcess {
  const line = [
    ...(setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL']),
    ...(taskset === undefined ? [] : [taskset, '-c', String(core)]),
    command, ...parameters
  ]
  const child = spawn('sh', ['-c', `${raiseDescriptors()} exec "$@"`, 'sh', ...line], {
    cwd: tmpdir(), // A directory without a .env.
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  children.add(child)
  child.once('exit', () => { children.delete(child) })
  return child
}

/** A server that listens. */
export interface Server {
  peer: Peer
  port: number
  pid: number
  /** From the start of the process until it listened, ms. */
  startMs: number
  stop: () => Promise<void>
}

export interface ServerOptions {
  core?: number
  redis?: string | undefined
  /** Of the Roomcast that is measured; default this one. */
  root?: string
}

/** Starts a peer and resolves when it listens. */
export async function startServer (peer: Peer, { core = CORES.server, redis, root = ROOT }: ServerOptions = {}): Promise<Server> {
  const folder = makeFolder()
  const port = await findFreePort()
  const program = peer.program === undefined ? undefined : findProgram(peer.program)
  const place = { port, folder, secret: SECRET, root, ...(redis !== undefined && { redis }), ...(program !== undefined && { program }) }
  const command = peer.run?.(place) ?? {
    command: process.execPath,
    parameters: [join(BENCH, 'serve.mjs'), `./peers/${peer.file}.mjs`, JSON.stringify(place)]
  }
  return await startListening(peer, command, { port, core, folder })
}

/** Starts a Redis that keeps nothing on disk. */
export async function startRedis (program: string): Promise<Server> {
  const folder = makeFolder()
  const port = await findFreePort()
  const peer = { name: 'redis', file: '', shapes: [], protocol: { path: '', publish: '' } }
  const command = {
    command: program,
    parameters: ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder]
  }
  return await startListening(peer, command, { port, core: CORES.others, folder })
}

async function startListening (
  peer: Peer,
  command: Command,
  { port, core, folder }: { port: number, core: number, folder: string }
): Promise<Server> {
  const begun = performance.now()
  const child = start(command, core)
  child.stdout?.resume()
  const deadline = Date.now() + PATIENCE_MS
  while (!await answers(port)) {
    if (Date.now() > deadline || child.exitCode !== null || child.signalCode !== null) {
      child.kill('SIGKILL')
      throw new Error(`${peer.name} does not listen on port ${port}`)
    }
    await sleep(POLL_MS)
  }
  return {
    peer,
    port,
    pid: child.pid as number,
    startMs: performance.now() - begun,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      removeFolder(folder)
    }
  }
}

/** Has a load generator do something, on a core of its own. */
export async function generate (options: LoadOptions): Promise<LoadResult> {
  const child = start({ command: process.execPath, parameters: [GENERATOR, JSON.stringify(options)] }, CORES.others)
  let output = ''
  child.stdout?.on('data', (data) => { output += String(data) })
  const [code] = await once(child, 'close') as [number | null]
  if (code !== 0) throw new Error('the load generator failed')
  return JSON.parse(output) as LoadResult
}

/** A folder that is removed when this process ends, at the latest. */
export function makeFolder (): string {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-bench-'))
  folders.add(folder)
  return folder
}

export function removeFolder (folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  folders.delete(folder)
}

async function findFreePort (): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await Promise.race([
      once(server, 'listening').then(() => true),
      once(server, 'error').then(() => false)
    ]).catch(() => false)
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

async function answers (port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const connected = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'error').then(() => false)
  ]).catch(() => false)
  socket.destroy()
  return connected
}
