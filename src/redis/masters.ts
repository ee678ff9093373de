import calculateSlot from 'cluster-key-slot'
import { ClusterMap } from './cluster-map.ts'
import type { Request } from './request.ts'
import { Master, type MasterOptions } from './master.ts'
import type { Address } from './settings.ts'

/** A server without a sign of life for this long counts as away, ms. */
const AWAY_MS = 5_000
/** The name of the only server. */
const ONLY = 'single'

export interface MastersOptions extends Omit<MasterOptions, 'address' | 'onMoved'> {
  /** Called with requests whose server is away or no longer a master, in their order. */
  onOrphaned: (requests: Request[]) => void
  /** Called when the map of the cluster cannot be read. */
  onMapError: (error: unknown) => void
}

/** The servers that own the slots: the only one, the master that sentinels name, or the masters of a cluster. */
export class Masters {
  readonly #options: MastersOptions
  readonly #servers = new Map<string, Master>()
  /** Undefined unless Redis is a cluster. */
  readonly #map: ClusterMap | undefined
  /** Failed probes of servers that were removed. */
  #removedFailures = 0

  constructor (options: MastersOptions) {
    this.#options = options
    if (options.settings.kind !== 'cluster') return
    this.#map = new ClusterMap({
      requesters: () => [...this.#servers.values()].map(({ requester }) => requester),
      onAdopted: (masters) => { this.#adopt(masters) },
      onError: options.onMapError
    })
  }

  /** Whether every slot has an owner. */
  get known (): boolean {
    return this.#map?.known ?? true
  }

  /** Whether every server has given a sign of life lately, on both connections. */
  get reachable (): boolean {
    const since = Date.now() - AWAY_MS
    for (const { heardAt } of this.#servers.values()) if (heardAt < since) return false
    return this.known
  }

  /** Number of connections that answered and delivered no messages. */
  get probeFailures (): number {
    let sum = this.#removedFailures
    for (const { probeFailures } of this.#servers.values()) sum += probeFailures
    return sum
  }

  /** The servers with their names. */
  [Symbol.iterator] (): IterableIterator<[string, Master]> {
    return this.#servers.entries()
  }

  /** The slot of a key; 0 if there is only one server. */
  slotOf (key: string): number {
    return this.#map === undefined ? 0 : calculateSlot(key)
  }

  ownerOf (slot: number): Master | undefined {
    return this.#servers.get(this.#map === undefined ? ONLY : this.#map.ownerOf(slot) ?? '')
  }

  /** Finds a server by its name, `host:port`. */
  named (name: string): Master | undefined {
    return this.#servers.get(name)
  }

  /** Gives one slot to another master, before the next map confirms it. */
  move (slot: number, master: string): void {
    this.#map?.move(slot, master)
  }

  /** Reads the map of the cluster again; does nothing without a cluster. */
  async refreshMap (): Promise<void> {
    await this.#map?.refresh()
  }

  /** Adds the server of settings without a cluster. */
  addOnly (): Master {
    return this.add(ONLY)
  }

  add (name: string, address?: Address): Master {
    const server = new Master({ ...this.#options, address, onMoved: () => { void this.refreshMap() } })
    this.#servers.set(name, server)
    return server
  }

  close (): void {
    this.#map?.close()
    for (const server of this.#servers.values()) server.close()
  }

  /** Adds new masters, removes servers that are none any more, and moves channels and requests to their owners. */
  #adopt (masters: ReadonlyMap<string, Address>): void {
    for (const [name, address] of masters) if (!this.#servers.has(name)) this.add(name, address)
    const requests: Request[] = []
    for (const [name, server] of [...this.#servers]) {
      const stays = masters.has(name)
      if (!stays) this.#servers.delete(name)
      if (!stays || !server.requester.usable) requests.push(...server.requester.takeAll())
      this.#moveChannels(server)
      if (stays) continue
      this.#removedFailures += server.probeFailures
      server.close()
    }
    this.#options.onOrphaned(requests.sort((a, b) => a.order - b.order))
  }

  #moveChannels (server: Master): void {
    for (const channel of [...server.subscriber.channels]) {
      const owner = this.ownerOf(this.slotOf(channel))
      if (owner === undefined || owner === server) continue
      const subscription = server.subscriber.remove(channel)
      if (subscription !== undefined) owner.subscriber.adopt(channel, subscription)
    }
  }
}
