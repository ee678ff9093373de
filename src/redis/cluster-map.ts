import { setTimeout as sleep } from 'node:timers/promises'
import type { Requester } from './requester.ts'
import { type Address, nameOf } from './settings.ts'

/** Number of slots in a cluster. */
const SLOTS = 16_384
/** Time between two reads of the map while a server is away, ms. */
const AWAY_INTERVAL_MS = 200
/** Time between two reads of the map otherwise, ms. */
const INTERVAL_MS = 5_000
/** Time for a server to send its map, ms. */
const ANSWER_MS = 1_000

/** The owners of all slots of a cluster. */
export interface SlotMap {
  /** Names of masters, by slot. */
  owners: string[]
  /** Addresses of the masters, by name. */
  masters: Map<string, Address>
}

export interface ClusterMapOptions {
  /** Lists the servers that may be asked for the map. */
  requesters: () => Iterable<Requester>
  /** Called with the masters of each map that names an owner for every slot. */
  onAdopted: (masters: ReadonlyMap<string, Address>) => void
  onError: (error: unknown) => void
}

/** The masters that own the slots of a cluster. The map is read now and then, and at once when a request shows that it is out of date. */
export class ClusterMap {
  readonly #options: ClusterMapOptions
  #owners: string[] = []
  #reading: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor (options: ClusterMapOptions) {
    this.#options = options
  }

  /** Whether a map was adopted yet. */
  get known (): boolean {
    return this.#owners.length > 0
  }

  /** The name of the master that owns a slot. */
  ownerOf (slot: number): string | undefined {
    return this.#owners[slot]
  }

  /** Gives one slot to another master, before the next map confirms it. */
  move (slot: number, master: string): void {
    this.#owners[slot] = master
  }

  /** Reads the map from the first server that answers. Calls made during a read share it. */
  async refresh (): Promise<void> {
    if (this.#closed) return
    await (this.#reading ??= this.#read().catch(this.#options.onError).finally(() => {
      this.#reading = undefined
      this.#schedule()
    }))
  }

  close (): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule (): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    const away = [...this.#options.requesters()].some(({ usable }) => !usable)
    this.#timer = setTimeout(() => { void this.refresh() }, away ? AWAY_INTERVAL_MS : INTERVAL_MS)
    this.#timer.unref()
  }

  async #read (): Promise<void> {
    for (const requester of this.#options.requesters()) {
      if (!requester.usable || requester.address === undefined) continue
      const reply = await Promise.race([
        requester.ask('cluster', 'slots').catch(() => undefined),
        sleep(ANSWER_MS, undefined)
      ])
      if (this.#closed) return
      const map = readSlots(reply, requester.address.host)
      if (map === undefined) continue
      this.#owners = map.owners
      this.#options.onAdopted(map.masters)
      return
    }
  }
}

/**
 * Reads a reply to CLUSTER SLOTS; undefined unless it names a master for every slot.
 *
 * @param host the host of the server that replied; a master without a name has the same
 */
export function readSlots (reply: unknown, host: string): SlotMap | undefined {
  if (!Array.isArray(reply)) return undefined
  const owners: string[] = []
  const masters = new Map<string, Address>()
  let count = 0
  for (const line of reply) {
    const range = readRange(line)
    if (range === undefined) return undefined
    const { first, last, name, port } = range
    const address = { host: name ?? host, port }
    masters.set(nameOf(address), address)
    for (let slot = first; slot <= last; slot++) owners[slot] = nameOf(address)
    count += last - first + 1
  }
  return count === SLOTS ? { owners, masters } : undefined
}

/** Reads one line of CLUSTER SLOTS: first slot, last slot, the master (name, port, …), its replicas. */
function readRange (line: unknown): { first: number, last: number, name: string | undefined, port: number } | undefined {
  if (!Array.isArray(line)) return undefined
  const [first, last, master]: unknown[] = line
  if (typeof first !== 'number' || typeof last !== 'number' || !Array.isArray(master)) return undefined
  const [name, port]: unknown[] = master
  if (typeof port !== 'number') return undefined
  return { first, last, name: typeof name === 'string' && name !== '' ? name : undefined, port }
}
