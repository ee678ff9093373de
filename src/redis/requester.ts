import type { Redis } from 'ioredis'
import { EncodedCommand } from './encoded-command.ts'
import { meaningOf, type Request, RequestFailed, type Script } from './request.ts'
import { type Address, makeClient, type RedisSettings } from './settings.ts'
import { Watchdog } from './watchdog.ts'

/** The oldest that has all that the scripts use (`XADD` with `<ms>-*`, sharded pub/sub). */
const MIN_VERSION = 7

/** The one run of a server that forgets nothing. */
const DURABLE_RUN_ID = 'durable'

/** What a server says about itself. */
export interface ServerInfo {
  /** Another one after every start, unless the server is durable. */
  runId: string
  version: string
  cluster: boolean
  evictionPolicy: string
}

export interface RequesterOptions {
  settings: RedisSettings
  address?: Address | undefined
  scripts: Script[]
  /** The connection can be used, again. */
  onReady: (requester: Requester) => void
  /** The connection was lost. */
  onLost: (requester: Requester) => void
  /** A request was turned down for a reason that may pass: it is not carried out, and is the caller's again. */
  onRefused: (requester: Requester, request: Request, error: Error) => void
  /** A request was turned down for a reason that an operator has to do something about. */
  onRejected: (requester: Requester, error: Error) => void
}

/**
 * Brings requests to one server, over one connection, and keeps them until they are settled. When the connection was
 * lost they are sent again, in order, over the next one: whatever changes something has to be safe to repeat.
 *
 * A connection is used when the server's run is known and the scripts are loaded, not before; a script that is sent
 * again is given the run of the server that it is sent to.
 */
export class Requester {
  /** What the server said about itself when the connection was made. */
  info: ServerInfo | undefined
  /** Since when there is no usable connection, ms since 1970; undefined while there is one. */
  lostAt: number | undefined = Date.now()
  /** Why the latest attempt to connect failed. */
  lastError: Error | undefined
  readonly address: Address | undefined
  readonly #options: RequesterOptions
  readonly #client: Redis
  readonly #watchdog: Watchdog
  readonly #unsettled = new Set<Request>()
  /** Counts preparations: one that was overtaken means nothing. */
  #preparation = 0
  #usable = false

  constructor (options: RequesterOptions) {
    this.address = options.address
    this.#options = options
    this.#client = makeClient(options.settings, options.address)
    this.#watchdog = new Watchdog(this.#client)
    this.#client.on('error', (error: Error) => { this.lastError = error })
    this.#client.on('ready', () => { void this.#prepare() })
    this.#client.on('close', () => {
      const wasUsable = this.#usable
      this.#preparation++
      this.#usable = false
      this.lostAt ??= Date.now()
      if (wasUsable) options.onLost(this)
    })
    this.#client.connect().catch((error: Error) => { this.lastError ??= error })
  }

  get usable (): boolean {
    return this.#usable
  }

  /** When the server was last heard of, ms since 1970. */
  get heardAt (): number {
    return this.#watchdog.heardAt
  }

  /** Sends a request as soon as there is a connection. */
  send (request: Request): void {
    this.#unsettled.add(request)
    if (this.#usable) this.#write(request)
  }

  /** Sends a request for a slot that is being moved to this server. */
  sendAsking (request: Request): void {
    if (this.#usable) this.#client.asking().catch(() => {})
    this.send(request)
  }

  /** Gives up a request. */
  drop (request: Request): void {
    this.#unsettled.delete(request)
  }

  /** Hands over everything that is not settled. */
  takeAll (): Request[] {
    const requests = [...this.#unsettled]
    this.#unsettled.clear()
    return requests
  }

  /** Resolves when everything sent before is answered or lost. */
  async flushed (): Promise<void> {
    await this.#client.ping().catch(() => {})
  }

  /** Asks beside the requests, without trying again. */
  async ask (command: string, ...args: string[]): Promise<unknown> {
    return await this.#client.call(command, ...args)
  }

  /** Replaces the connection. */
  reconnect (): void {
    this.#client.disconnect(true)
  }

  close (): void {
    this.#preparation++
    this.#usable = false
    this.#watchdog.stop()
    this.#client.disconnect()
  }

  async #prepare (): Promise<void> {
    const preparation = ++this.#preparation
    this.#usable = false
    try {
      const [info] = await Promise.all([this.#client.info(), ...this.#options.scripts.map(async ({ lua }) => await this.#client.script('LOAD', lua))])
      if (preparation !== this.#preparation) return
      this.info = readInfo(info as string)
      if (this.#options.settings.durable) this.info.runId = DURABLE_RUN_ID
    } catch (error) {
      if (preparation !== this.#preparation) return
      this.lastError = error as Error
      this.#client.disconnect(true)
      return
    }
    if (Number.parseInt(this.info.version, 10) < MIN_VERSION) {
      this.lastError = new Error(`it is version ${this.info.version}, and ${MIN_VERSION}.0 is needed`)
      this.#client.disconnect(true)
      return
    }
    this.#usable = true
    this.lostAt = undefined
    this.lastError = undefined
    for (const request of this.#unsettled) this.#write(request)
    this.#options.onReady(this)
  }

  #write (request: Request): void {
    const { command, args, runIdAt, binary } = request
    if (runIdAt !== -1) args[runIdAt] = (this.info as ServerInfo).runId
    this.#gather()
    void this.#client.sendCommand(new EncodedCommand(command, args, binary, (reply) => {
      this.#watchdog.heardAt = Date.now()
      if (this.#unsettled.delete(request)) request.resolve(reply)
    }, (error) => { this.#failed(request, error) }))
  }

  /** What is written in this turn of the event loop leaves in one piece: a write costs the kernel more than a command costs us. */
  #gather (): void {
    const { stream } = this.#client
    if (stream.writableCorked > 0) return
    stream.cork()
    setImmediate(() => { stream.uncork() })
  }

  #failed (request: Request, error: Error): void {
    if (!this.#unsettled.has(request)) return
    switch (meaningOf(error)) {
      case 'unsent':
        return
      case 'lost':
        request.uncertain = true
        return
      case 'noscript': // Somebody flushed them. Everything behind it gets the same answer, and is sent again in order.
        if (this.#usable) void this.#prepare()
        return
      case 'refused':
        this.#unsettled.delete(request)
        this.#options.onRefused(this, request, error)
        return
      case 'rejected':
        this.#unsettled.delete(request)
        request.reject(new RequestFailed(request.uncertain, error))
        this.#options.onRejected(this, error)
        return
      default:
        this.#unsettled.delete(request)
        request.reject(new RequestFailed(true, error))
    }
  }
}

function readInfo (info: string): ServerInfo {
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  return {
    runId: field('run_id'),
    version: field('redis_version'),
    cluster: field('redis_mode') === 'cluster',
    evictionPolicy: field('maxmemory_policy')
  }
}
