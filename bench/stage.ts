import type { LoadOptions } from './load/options.ts'
import { CORES, generate, maxConnections, SECRET, type Server, type ServerOptions, startRedis, startServer } from './processes.ts'
import type { Peer } from './peers.ts'
import type { Run } from './results.ts'

/** A load, but for where it goes. */
export type Load = Omit<LoadOptions, 'protocol' | 'port' | 'pids' | 'secret' | 'publishPort' | 'besides'>

/** Where servers are kept while they are measured, in turns. */
export class Stage {
  /** What could not be done as it was meant, in sentences. */
  readonly remarks = new Set<string>()
  readonly #root: string | undefined
  readonly #servers = new Map<Peer, Server>()
  #loads = 0

  /** @param root of the Roomcast that is measured, if it is not this one */
  constructor (root?: string) {
    this.#root = root
  }

  /** Puts a load on a peer's server, which is started for it or has had others before: an idle one costs nothing. */
  async load (peer: Peer, load: Load): Promise<Run> {
    let server = this.#servers.get(peer)
    if (server === undefined) {
      server = await this.#start(peer)
      this.#servers.set(peer, server)
    }
    return await this.#run(server, load)
  }

  /** Starts a peer's server, for the time that this takes. */
  async start (peer: Peer): Promise<Run> {
    const { startMs, stop } = await this.#start(peer)
    await stop()
    return { startMs }
  }

  /** Puts a load on a server that has not had any. */
  async loadFresh (peer: Peer, load: Load): Promise<Run> {
    const server = await this.#start(peer)
    try {
      return await this.#run(server, load)
    } finally {
      await server.stop()
    }
  }

  /**
   * Puts a load on instances that a Redis connects: members are on the last of them, which is measured and has a core
   * for itself; messages are published on the first.
   */
  async loadOverRedis (peer: Peer, redisProgram: string, instances: 1 | 2, load: Load): Promise<Run> {
    const redis = await startRedis(redisProgram)
    const servers: Server[] = []
    try {
      const url = `redis://127.0.0.1:${redis.port}`
      for (let i = 1; i <= instances; i++) {
        servers.push(await this.#start(peer, { redis: url, core: i < instances ? CORES.others : CORES.server }))
      }
      const [first, last] = [servers[0] as Server, servers.at(-1) as Server]
      return await this.#run(last, load, { besides: redis.pid, ...(first !== last && { publishPort: first.port }) })
    } finally {
      for (const server of [...servers, redis]) await server.stop()
    }
  }

  async clear (): Promise<void> {
    for (const server of this.#servers.values()) await server.stop()
    this.#servers.clear()
  }

  async #start (peer: Peer, options: ServerOptions = {}): Promise<Server> {
    return await startServer(peer, { ...options, ...(this.#root !== undefined && { root: this.#root }) })
  }

  async #run ({ peer, port, pid }: Server, load: Load, more: Partial<LoadOptions> = {}): Promise<Run> {
    const members = Math.min(load.members, maxConnections)
    if (members < load.members) this.remarks.add(`${load.members} connections are more than may be open here: ${members} were.`)
    const result = await generate({
      ...load, ...more, members, protocol: peer.protocol, port, pids: [pid], secret: SECRET, source: this.#loads++
    })
    const {
      seconds, deliveries, published, userSeconds, systemSeconds, openSeconds, bytesBefore, bytesAfter, lost, refused, ended, latencyUs,
      generatorLoad
    } = result
    if (refused > 0) this.remarks.add(`${peer.name} refused ${refused} requests.`)
    if (ended > 0) this.remarks.add(`${peer.name} ended ${ended} connections.`)
    return {
      ...(deliveries > 0 && {
        cpuNs: (userSeconds + systemSeconds) / deliveries * 1e9,
        userNs: userSeconds / deliveries * 1e9,
        systemNs: systemSeconds / deliveries * 1e9,
        deliveries,
        deliveriesPerSecond: deliveries / seconds,
        latencyUs
      }),
      ...(published > 0 && { perSecond: published / seconds, lost }),
      ...(published > 0 && more.besides !== undefined && { redisCpuUs: result.besidesSeconds / published * 1e6 }),
      ...(members > 0 && { cpuUs: openSeconds / members * 1e6, bytes: (bytesAfter - bytesBefore) / members }),
      ...(load.seconds > 0 && { generatorLoad })
    }
  }
}
