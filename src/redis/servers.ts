import { setTimeout as sleep } from 'node:timers/promises'
import calculateSlot from 'cluster-key-slot'
import { type Argument, codeOf, type Request, RequestFailed, type Script } from './request.ts'
import { Probe, PROBE } from './probe.ts'
import { Requester, type ServerInfo } from './requester.ts'
import { type Address, nameOf, type RedisSettings } from './settings.ts'
import { readSlots, type SlotRange } from './slots.ts'
import { Subscriber, type Subscription } from './subscriber.ts'

/** How long a request is tried, ms; and how long Redis may be away before requests fail at once. */
export const COMMAND_TIMEOUT_MS = 2_000
/** Requests that wait for an answer may take this many bytes together; beyond that new ones are refused. */
const MAX_UNSETTLED_BYTES = 64 * 1024 * 1024
/** Time between looks at what has taken too long, ms. */
const EXPIRY_SWEEP_MS = 100
/** Until a request is tried again that was turned down for a reason that passes, ms. */
const RETRY_MS = 100
/** Between looks at the map of a cluster: while a part of it is away, and otherwise, ms. */
const MAP_AWAY_MS = 200
const MAP_MS = 5_000
/** Time for the map, ms. */
const MAP_ANSWER_MS = 1_000
/** What Redis rejects (no memory, no rights) is logged this often, ms: it may be every request. */
const REJECTIONS_LOGGED_MS = 10_000
/** Without a sign of Redis for so long, it counts as away, ms. */
const AWAY_MS = 5_000

const SINGLE = 'single'

export interface RedisServersOptions {
  settings: RedisSettings
  scripts: Script[]
  onMessage: (channel: Buffer, message: Buffer) => void
  /** The channels are subscribed again; what was published in between did not come. */
  onInterrupted: (channels: string[]) => void
  /** Called when Redis goes away, comes back, or is not set as it should be. */
  onEvent: (level: 'info' | 'warn' | 'error', message: string, error?: Error) => void
}

/** Another server, or the one there is: what is needed of it. */
interface Server {
  requester: Requester
  subscriber: Subscriber
  probe: Probe
}

/**
 * The Redis servers behind the service: one, a master named by sentinels, or a cluster's masters. Requests and
 * subscriptions go to the server that owns their key.
 *
 * Requests about one slot reach Redis in the order of the calls, also when connections are lost and slots move; each
 * is tried for `COMMAND_TIMEOUT_MS`, and may be carried out twice: make them so that this does no harm.
 */
export class RedisServers {
  readonly #options: RedisServersOptions
  /** `SPUBLISH` in a cluster, where a channel lives with its slot. */
  readonly publishCommand: string
  readonly #cluster: boolean
  readonly #servers = new Map<string, Server>()
  /** Owners of the slots of a cluster, by server. */
  #owners: string[] = []
  /** Slots whose requests are held until it is clear where they go. */
  readonly #held = new Map<number, Request[]>()
  /** In the order of their deadlines. */
  readonly #unsettled = new Map<Request, Server | undefined>()
  readonly #expiry: NodeJS.Timeout
  #mapTimer: NodeJS.Timeout | undefined
  #mapping: Promise<void> | undefined
  /** Of servers that are no longer there. */
  #goneFailures = 0
  #order = 0
  #bytes = 0
  /** When a rejection was logged, ms since 1970. */
  #rejectedAt = 0
  #connected = false
  #closed = false

  private constructor (options: RedisServersOptions) {
    this.#options = options
    this.#cluster = options.settings.kind === 'cluster'
    this.publishCommand = this.#cluster ? 'SPUBLISH' : 'PUBLISH'
    this.#expiry = setInterval(() => { this.#expire() }, EXPIRY_SWEEP_MS)
    this.#expiry.unref()
  }

  /** Connects; rejects, with a message for the operator, where that fails at the first attempt. */
  static async connect (options: RedisServersOptions): Promise<RedisServers> {
    const servers = new RedisServers(options)
    try {
      await servers.#connect()
    } catch (error) {
      servers.close()
      throw error
    }
    return servers
  }

  /** Whether all servers have been heard of lately, on all connections. */
  get reachable (): boolean {
    const since = Date.now() - AWAY_MS
    for (const { requester, subscriber } of this.#servers.values()) {
      if (requester.heardAt < since || subscriber.heardAt < since) return false
    }
    return !this.#cluster || this.#owners.length > 0
  }

  /** How often a connection was found to be deaf: it answers, and what is published does not come. */
  get probeFailures (): number {
    let sum = this.#goneFailures
    for (const { probe } of this.#servers.values()) sum += probe.failures
    return sum
  }

  /** Sends a command about a key; rejects with `RequestFailed`. Something of another type under the key makes room for ours. */
  async command (key: string, command: string, ...args: Argument[]): Promise<unknown> {
    try {
      return await this.#request(key, command, [...args], -1, false)
    } catch (error) {
      if (!(error instanceof RequestFailed) || !(error.cause instanceof Error) || codeOf(error.cause) !== 'WRONGTYPE') throw error
      await this.#request(key, 'del', [key], -1, false)
      return await this.#request(key, command, args, -1, false)
    }
  }

  /**
   * Runs a script; rejects with `RequestFailed`. Its first argument is the run of the server, and comes from here.
   *
   * @param keys of one slot
   * @param binary whether strings in the reply are to be bytes
   */
  runScript (script: Script, keys: string[], args: Argument[], binary = false): Promise<unknown> {
    return this.#request(keys[0] as string, 'evalsha', [script.sha, keys.length, ...keys, '', ...args], 2 + keys.length, binary)
  }

  /** Subscribes a channel; resolves when its messages come for certain. */
  async subscribe (channel: string): Promise<void> {
    while (!this.#closed) {
      const server = this.#ownerOf(this.#slotOf(channel))
      if (server !== undefined) {
        await server.subscriber.add(channel)
        return
      }
      await this.#refreshMap()
      await sleep(RETRY_MS)
    }
  }

  unsubscribe (channel: string): void {
    for (const { subscriber } of this.#servers.values()) subscriber.remove(channel)
  }

  close (): void {
    this.#closed = true
    clearInterval(this.#expiry)
    clearTimeout(this.#mapTimer)
    for (const request of [...this.#unsettled.keys()]) request.reject(new RequestFailed(request.uncertain))
    for (const server of this.#servers.values()) closeServer(server)
  }

  async #connect (): Promise<void> {
    const { settings } = this.#options
    if (!this.#cluster) {
      const server = this.#addServer(SINGLE)
      await firstConnection(server, describe(settings))
      if (server.requester.info?.cluster === true) throw unusable(describe(settings), 'it is a node of a cluster: REDIS_CLUSTER says so')
    } else {
      await this.#connectCluster(settings.addresses)
    }
    this.#connected = true
  }

  async #connectCluster (seeds: Address[]): Promise<void> {
    let failure: unknown
    for (const seed of seeds) {
      const server = this.#addServer(nameOf(seed), seed)
      try {
        await firstConnection(server, nameOf(seed))
        if (server.requester.info?.cluster !== true) throw unusable(nameOf(seed), 'it is not a node of a cluster')
        await this.#refreshMap()
        if (this.#owners.length > 0) {
          await Promise.all([...this.#servers].map(async ([key, server]) => { await firstConnection(server, key) }))
          return
        }
        failure = unusable(nameOf(seed), 'the cluster does not serve all slots')
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  #addServer (key: string, address?: Address): Server {
    const { settings, scripts, onMessage, onInterrupted } = this.#options
    const requester = new Requester({
      settings,
      address,
      scripts,
      onReady: (requester) => { this.#onReady(requester) },
      onLost: (requester) => { this.#onLost(requester) },
      onRefused: (requester, request, error) => { this.#onRefused(requester, request, error) },
      onRejected: (requester, error) => { this.#onRejected(requester, error) }
    })
    const subscriber = new Subscriber({
      settings,
      address,
      ignored: PROBE,
      onMessage,
      onInterrupted,
      onMoved: () => { void this.#refreshMap() }
    })
    const server = { requester, subscriber, probe: new Probe(requester, subscriber, this.publishCommand) }
    this.#servers.set(key, server)
    return server
  }

  #request (key: string, command: string, args: Argument[], runIdAt: number, binary: boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let bytes = 0
      for (const arg of args) if (typeof arg !== 'number') bytes += arg.length
      const slot = this.#slotOf(key)
      const lostAt = this.#ownerOf(slot)?.requester.lostAt
      const now = Date.now()
      if (this.#closed || this.#bytes + bytes > MAX_UNSETTLED_BYTES || (lostAt !== undefined && lostAt + COMMAND_TIMEOUT_MS <= now)) throw new RequestFailed(false)
      this.#bytes += bytes
      const request: Request = {
        order: this.#order++,
        command,
        args,
        runIdAt,
        slot,
        binary,
        bytes,
        uncertain: false,
        deadline: now + COMMAND_TIMEOUT_MS,
        resolve: (reply) => {
          this.#settle(request)
          resolve(reply)
        },
        reject: (error) => {
          this.#settle(request)
          reject(error)
        }
      }
      this.#dispatch(request)
    })
  }

  #settle (request: Request): void {
    this.#unsettled.delete(request)
    this.#bytes -= request.bytes
  }

  #dispatch (request: Request): void {
    const held = this.#held.get(request.slot)
    const server = held === undefined ? this.#ownerOf(request.slot) : undefined
    this.#unsettled.set(request, server)
    if (held !== undefined) held.push(request)
    else if (server !== undefined) server.requester.send(request)
    else this.#hold(request)
  }

  /** Fails what has taken too long. */
  #expire (): void {
    const now = Date.now()
    for (const [request, server] of this.#unsettled) {
      if (request.deadline > now) return
      server?.requester.drop(request)
      const held = this.#held.get(request.slot)
      if (held?.includes(request) === true) held.splice(held.indexOf(request), 1)
      if (this.#cluster) void this.#refreshMap() // Somebody else may have taken over.
      // Written and not answered: it may be on its way.
      request.reject(new RequestFailed(request.uncertain || server?.requester.usable === true))
    }
  }

  /** Holds a slot's requests for a moment, this one first, and finds out where they go. */
  #hold (request: Request, settle?: () => Promise<void>): void {
    const held = this.#held.get(request.slot)
    this.#unsettled.set(request, undefined)
    if (held !== undefined) {
      held.push(request)
      return
    }
    this.#held.set(request.slot, [request])
    void (async () => {
      if (settle === undefined) await Promise.all([this.#refreshMap(), sleep(RETRY_MS)])
      else await settle()
      this.#release(request.slot)
    })()
  }

  #release (slot: number): void {
    const requests = this.#held.get(slot) ?? []
    this.#held.delete(slot)
    for (const request of requests.sort((a, b) => a.order - b.order)) if (this.#unsettled.has(request)) this.#dispatch(request)
  }

  #onRefused (requester: Requester, request: Request, error: Error): void {
    const code = codeOf(error)
    if (code !== 'MOVED' && code !== 'ASK') {
      // A master that became a replica: somebody else is the master now.
      this.#hold(request)
      if (code === 'READONLY') requester.reconnect()
      return
    }
    const target = error.message.split(' ')[2] as string
    this.#hold(request, async () => {
      // What is on its way to the old place comes back before anything goes to the new one.
      await requester.flushed()
      if (!this.#servers.has(target)) await this.#refreshMap()
      const server = this.#servers.get(target)
      if (server === undefined) {
        await sleep(RETRY_MS)
        return
      }
      if (code === 'MOVED') {
        this.#owners[request.slot] = target
        void this.#refreshMap()
        return
      }
      const requests = this.#held.get(request.slot) ?? []
      for (const one of requests.splice(0).sort((a, b) => a.order - b.order)) {
        this.#unsettled.set(one, server)
        server.requester.sendAsking(one)
      }
      await server.requester.flushed()
    })
  }

  #onRejected (requester: Requester, error: Error): void {
    if (Date.now() < this.#rejectedAt + REJECTIONS_LOGGED_MS) return
    this.#rejectedAt = Date.now()
    this.#options.onEvent('error', `Redis${this.#nameOf(requester)} refuses what it is asked: ${error.message}`)
  }

  #onReady (requester: Requester): void {
    if (this.#connected) this.#options.onEvent('info', `connected to Redis${this.#nameOf(requester)}`)
    const policy = (requester.info as ServerInfo).evictionPolicy
    if (policy !== '' && policy !== 'noeviction') {
      this.#options.onEvent('warn', `Redis${this.#nameOf(requester)} has maxmemory-policy ${policy}: it may throw away rooms and their positions; noeviction is the one to use`)
    }
  }

  #onLost (requester: Requester): void {
    if (this.#closed || !this.#connected) return
    this.#options.onEvent('warn', `lost the connection to Redis${this.#nameOf(requester)}`, requester.lastError)
    if (this.#cluster) void this.#refreshMap()
  }

  #nameOf ({ address }: Requester): string {
    return address === undefined ? '' : ` at ${nameOf(address)}`
  }

  #slotOf (key: string): number {
    return this.#cluster ? calculateSlot(key) : 0
  }

  #ownerOf (slot: number): Server | undefined {
    return this.#servers.get(this.#cluster ? this.#owners[slot] ?? '' : SINGLE)
  }

  /** Asks the cluster who owns what; once at a time. */
  async #refreshMap (): Promise<void> {
    if (!this.#cluster || this.#closed) return
    await (this.#mapping ??= this.#readMap().catch((error: unknown) => {
      this.#options.onEvent('error', 'the map of the Redis cluster could not be read', error as Error)
    }).finally(() => {
      this.#mapping = undefined
      clearTimeout(this.#mapTimer)
      if (this.#closed) return
      const away = [...this.#servers.values()].some(({ requester }) => !requester.usable)
      this.#mapTimer = setTimeout(() => { void this.#refreshMap() }, away ? MAP_AWAY_MS : MAP_MS)
      this.#mapTimer.unref()
    }))
  }

  async #readMap (): Promise<void> {
    for (const { requester } of this.#servers.values()) {
      if (!requester.usable || requester.address === undefined) continue
      const reply = await Promise.race([
        requester.ask('cluster', 'slots').catch(() => undefined),
        sleep(MAP_ANSWER_MS, undefined)
      ])
      if (Array.isArray(reply) && this.#adoptMap(reply as SlotRange[], requester.address.host)) return
    }
  }

  /** Takes over a map that names an owner for every slot; says whether it did. */
  #adoptMap (ranges: SlotRange[], host: string): boolean {
    if (this.#closed) return true
    const map = readSlots(ranges, host)
    if (map === undefined) return false
    const { owners, masters } = map
    this.#owners = owners
    for (const [key, address] of masters) if (!this.#servers.has(key)) this.#addServer(key, address)
    const requests: Request[] = []
    for (const [key, server] of [...this.#servers]) {
      if (!masters.has(key)) this.#servers.delete(key)
      if (!masters.has(key) || !server.requester.usable) requests.push(...server.requester.takeAll())
      for (const channel of [...server.subscriber.channels]) {
        const owner = this.#ownerOf(this.#slotOf(channel)) as Server
        if (owner === server) continue
        owner.subscriber.adopt(channel, server.subscriber.remove(channel) as Subscription)
      }
      if (masters.has(key)) continue
      this.#goneFailures += server.probe.failures
      closeServer(server)
    }
    for (const request of requests.sort((a, b) => a.order - b.order)) this.#dispatch(request)
    return true
  }
}

function closeServer ({ requester, subscriber, probe }: Server): void {
  probe.stop()
  requester.close()
  subscriber.close()
}

function describe ({ kind, addresses, name }: RedisSettings): string {
  const list = addresses.map(nameOf).join(', ')
  return kind === 'sentinel' ? `${list} (master ${name})` : list
}

function unusable (where: string, why: string): Error {
  return Object.assign(new Error(`Redis at ${where} cannot be used: ${why}`), { code: 'redis_unusable' })
}

/** Resolves when both connections are ready; rejects when the first attempt fails. */
async function firstConnection ({ requester, subscriber }: Server, where: string): Promise<void> {
  const deadline = Date.now() + 2 * COMMAND_TIMEOUT_MS
  while (!requester.usable || !subscriber.usable) {
    if (requester.lastError !== undefined) throw unusable(where, requester.lastError.message)
    if (Date.now() > deadline) throw unusable(where, 'it does not answer')
    await sleep(5)
  }
}
