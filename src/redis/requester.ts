import type { Redis } from 'ioredis'
import { EncodedCommand } from './encoded-command.ts'
import { meaningOf, type Request, RequestFailed } from './request.ts'
import { SCRIPTS } from './script.ts'
import { type Address, makeClient, type RedisSettings } from './settings.ts'
import { Watchdog } from './watchdog.ts'

/** The oldest version that has all that the scripts use (`XADD` with `<ms>-*`, sharded pub/sub). */
const MIN_VERSION = 7

/** The run ID that stands for every run of a durable server. */
const DURABLE_RUN_ID = 'durable'

/** The parts of INFO that the service uses. */
export interface ServerInfo {
  /** Identity of the server; changes with every start, unless the server is durable. */
  runId: string
  version: string
  cluster: boolean
  evictionPolicy: string
}

export interface RequesterOptions {
  settings: RedisSettings
  address?: Address | undefined
  /** Called when a connection becomes usable. */
  onReady: (requester: Requester, info: ServerInfo) => void
  /** Called when a usable connection is lost. */
  onLost: (requester: Requester) => void
  /** Called when the server cannot carry out a request now. The request is the caller's again. */
  onRefused: (requester: Requester, request: Request, error: Error) => void
  /** Called when the server rejects a request until an operator acts. */
  onRejected: (requester: Requester, error: Error) => void
}

/**
 * Sends requests to one server, over one connection, and keeps them until they are settled. After a reconnect it sends
 * them again, in order. A request that Redis may have carried out is sent again only if it is `Repeatable`, else it fails.
 *
 * A connection is used once the server's run ID is known and the scripts are loaded. A script that is sent again gets
 * the run ID of the server that receives it now.
 */
export class Requester {
  /** The server's INFO at the latest connect. */
  info: ServerInfo | undefined
  /** When the usable connection was lost, ms since 1970; undefined while there is one. */
  lostAt: number | undefined = Date.now()
  /** Error of the latest attempt to connect. */
  lastError: Error | undefined
  readonly address: Address | undefined
  readonly #options: RequesterOptions
  readonly #client: Redis
  readonly #watchdog: Watchdog
  readonly #unsettled = new Set<Request>()
  /** Number of the latest preparation; the result of an earlier one is dropped. */
  #preparation = 0
  /** Number of scripts that were sent over this connection. */
  #loadedScripts = 0
  #runId = ''
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

  /** Time of the server's latest sign of life, ms since 1970. */
  get heardAt (): number {
    return this.#watchdog.heardAt
  }

  /** Sends a request as soon as there is a usable connection. */
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

  /** Hands over all requests that are not settled. */
  takeAll (): Request[] {
    const requests = [...this.#unsettled]
    this.#unsettled.clear()
    // A usable connection has sent them all, and no reply is awaited any more.
    if (this.#usable) for (const request of requests) request.uncertain = true
    return requests
  }

  /** Resolves when all earlier requests are answered or lost. */
  async flushed (): Promise<void> {
    await this.#client.ping().catch(() => {})
  }

  /** Sends one command outside the queue, without retries. */
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

  /** Makes a new connection usable, and sends everything that is not settled. */
  async #prepare (): Promise<void> {
    const preparation = ++this.#preparation
    this.#usable = false
    this.#loadedScripts = 0
    let info: ServerInfo
    try {
      const [text] = await Promise.all([this.#client.info(), this.#loadScripts()])
      if (preparation !== this.#preparation) return
      info = readInfo(text)
      if (this.#options.settings.durable) info.runId = DURABLE_RUN_ID
      this.info = info
      if (Number.parseInt(info.version, 10) < MIN_VERSION) throw new Error(`it is version ${info.version}, and ${MIN_VERSION}.0 is needed`)
    } catch (error) {
      if (preparation !== this.#preparation) return
      this.lastError = error instanceof Error ? error : new Error(String(error))
      this.#client.disconnect(true)
      return
    }
    this.#runId = info.runId
    this.#usable = true
    this.lostAt = undefined
    this.lastError = undefined
    for (const request of this.#unsettled) this.#write(request)
    this.#options.onReady(this, info)
  }

  /** Loads the scripts that this connection does not have yet. */
  async #loadScripts (): Promise<void> {
    const missing = SCRIPTS.slice(this.#loadedScripts)
    this.#loadedScripts = SCRIPTS.length
    await Promise.all(missing.map(async ({ lua }) => await this.#client.script('LOAD', lua)))
  }

  #write (request: Request): void {
    const { command, args, runIdAt, binary } = request
    if (request.uncertain && !this.#mayRepeat(request)) {
      this.#unsettled.delete(request)
      request.reject(new RequestFailed(true))
      return
    }
    request.sentTo = this.#runId
    if (runIdAt !== -1) args[runIdAt] = this.#runId
    this.#gather()
    // Modules loaded after the connect register more scripts. If loading fails, the server replies NOSCRIPT.
    if (this.#loadedScripts < SCRIPTS.length) this.#loadScripts().catch(() => {})
    void this.#client.sendCommand(new EncodedCommand(command, args, binary, (reply) => {
      this.#watchdog.heardAt = Date.now()
      if (this.#unsettled.delete(request)) request.resolve(reply)
    }, (error) => { this.#failed(request, error) }))
  }

  #mayRepeat ({ repeatable, sentTo }: Request): boolean {
    return repeatable === 'always' || (repeatable === 'same run' && sentTo === this.#runId)
  }

  /** Gathers the writes of this turn of the event loop into one: a write costs the kernel more than a command costs the process. */
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
      case 'noscript': // The scripts were flushed. All requests behind this one fail alike and are sent again in order.
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
