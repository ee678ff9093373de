import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis, type RedisOptions } from 'ioredis'
import type { Scope } from './scope.ts'
import type { RedisProgram } from './debian.ts'
import { findFreePort } from './free-port.ts'
import { PATIENCE_MS } from './until.ts'

/** Ports are found free before they are taken; so a start may fail. */
const START_ATTEMPTS = 3

/** A Redis of its own for a test, which may hurt it. It keeps nothing on disk unless it is told to. */
export class RedisServer {
  readonly port: number
  readonly #program: RedisProgram
  readonly #folder: string
  readonly #parameters: string[]
  #process: ChildProcess | undefined
  #client: Redis | undefined

  private constructor (program: RedisProgram, port: number, folder: string, parameters: string[]) {
    this.#program = program
    this.port = port
    this.#folder = folder
    this.#parameters = parameters
  }

  /** Starts one on a free port of 127.0.0.1, and resolves when it answers; it is removed when the test is over. */
  static async start (t: Scope, program: RedisProgram, ...parameters: string[]): Promise<RedisServer> {
    for (let attempt = 1; ; attempt++) {
      const folder = await mkdtemp(join(tmpdir(), 'roomcast-redis-'))
      // The bus would be on the port + 10,000, which may be none.
      const bus = parameters.includes('--cluster-enabled yes') ? [`--cluster-port ${await findFreePort()}`] : []
      const server = new RedisServer(program, await findFreePort(), folder, [...parameters, ...bus])
      t.teardown(async () => {
        await server.kill()
        await rm(folder, { recursive: true, force: true })
      })
      try {
        await server.start()
        return server
      } catch (error) {
        // Another test may have taken the port in between.
        if (attempt === START_ATTEMPTS) throw error
      }
    }
  }

  get url (): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it, again: on the same port, with the data it has on disk. */
  async start (): Promise<void> {
    const { command, parameters: [first, ...rest], environment, container } = this.#program
    this.#process = spawn(command, [
      ...(first === undefined ? [] : [first]),
      ...(container === true ? ['--name', basename(this.#folder)] : []),
      ...rest,
      ...this.#parameters.filter((parameter) => !parameter.startsWith('-')),
      '--port', String(this.port), '--bind', '127.0.0.1',
      '--dir', this.#folder, '--save', '', '--repl-diskless-sync-delay', '0', '--logfile', join(this.#folder, 'log'),
      ...this.#parameters.filter((parameter) => parameter.startsWith('-')).flatMap((parameter) => parameter.split(' '))
    ], { stdio: 'ignore', env: { ...process.env, ...environment } })
    const deadline = Date.now() + PATIENCE_MS
    while (!await this.#answers()) {
      if (Date.now() > deadline || this.#process.exitCode !== null) throw new Error(`redis-server does not answer on port ${this.port}`)
      await sleep(20)
    }
  }

  /** Ends it as a crash does. */
  async kill (): Promise<void> {
    this.#client?.disconnect()
    this.#client = undefined
    const process = this.#process
    this.#process = undefined
    if (process === undefined || process.exitCode !== null || process.signalCode !== null) return
    const gone = once(process, 'exit')
    this.#signal('SIGKILL', process)
    await gone
  }

  /** Stops it as a hanging machine does: connections stay open, nothing is answered. */
  freeze (): void {
    this.#signal('SIGSTOP')
  }

  thaw (): void {
    this.#signal('SIGCONT')
  }

  /** Sends a command, for the test itself. */
  async command (name: string, ...parameters: (string | number)[]): Promise<unknown> {
    if (this.#client === undefined) {
      this.#client = new Redis(this.#address)
      this.#client.on('error', () => {})
    }
    return await this.#client.call(name, ...parameters)
  }

  #signal (signal: NodeJS.Signals, process = this.#process): void {
    if (this.#program.container === true) spawnSync(this.#program.command, ['kill', '--signal', signal, basename(this.#folder)])
    else process?.kill(signal)
  }

  get #address (): RedisOptions {
    const password = this.#parameters.find((parameter) => parameter.startsWith('--requirepass '))?.split(' ')[1]
    return { port: this.port, host: '127.0.0.1', ...(password !== undefined && { password }) }
  }

  async #answers (): Promise<boolean> {
    const client = new Redis({ ...this.#address, lazyConnect: true, retryStrategy: () => null })
    client.on('error', () => {})
    // It may be another test's, which was faster to take the port.
    const isOurs = (info: string): boolean => this.#program.container === true || info.includes(`process_id:${this.#process?.pid}\r\n`)
    return await client
      .connect()
      .then(async () => await client.info('server'))
      .then(isOurs, () => false)
      .finally(() => { client.disconnect() })
  }
}
