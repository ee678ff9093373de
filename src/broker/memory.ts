import type { Envelope, NoticeEnvelope } from '../protocol/envelope.ts'
import type { Position } from '../protocol/position.ts'
import {
  type Broker, FRESH_POSITION_MS, type HistoryOf, type HistoryPage, type HistoryPolicy, type HistoryQuery, newEpoch,
  type Occupancy, type OccupancyQuery, positionLifetime, type Publication, type Published, type StoredMessage
} from './broker.ts'
import { History, sizeOf } from './history.ts'
import { LruMap } from './lru-map.ts'
import { RememberedPublishes } from './remembered-publishes.ts'

/** Time between two sweeps over expired state, ms. */
const SWEEP_MS = 1_000
/** Least number of rooms in one sweep; otherwise a sixtieth of all, so that a minute covers each room. */
const SWEEP_ROOMS = 1_000

export interface MemoryBrokerOptions {
  historyOf: HistoryOf
  /** Largest history of all rooms together, bytes; 0 is no limit. The least recently used rooms are evicted first. */
  maxHistoryBytes: number
  /** Largest number of rooms without a subscription; 0 is no limit. The least recently used room is evicted first. */
  maxIdleRooms: number
}

/** A room that has a position. */
interface RoomState {
  readonly policy: HistoryPolicy
  epoch: string
  offset: number
  history: History
  /** Instant until which the position is kept, ms since 1970. */
  until: number
}

/** The broker of a single instance. All state ends with the process. */
export class MemoryBroker implements Broker {
  readonly reachable = true
  readonly counts = { foreign: 0, probeFailures: 0 }
  readonly #options: MemoryBrokerOptions
  readonly #rooms = new Map<string, RoomState>()
  readonly #subscribed = new Set<string>()
  /** The rooms without a subscription, in the order of their latest use. */
  readonly #idle = new LruMap<string, RoomState>()
  /** Rooms with messages, in the order of their latest publish. */
  readonly #filled = new LruMap<RoomState, true>()
  readonly #remembered = new RememberedPublishes()
  readonly #occupancy = new Map<string, number>()
  readonly #sweeper: NodeJS.Timeout
  /** The rest of the current pass over all rooms. */
  #unswept: MapIterator<[string, RoomState]> | undefined
  #historyBytes = 0
  #latestEpoch = 0
  /** Time of the latest publish, ms since 1970. */
  #time = 0
  #listener: (envelope: Envelope) => void = () => {}

  constructor (options: MemoryBrokerOptions) {
    this.#options = options
    this.#sweeper = setInterval(() => { this.#sweep() }, SWEEP_MS)
    this.#sweeper.unref()
  }

  listen (listener: (envelope: Envelope) => void): void {
    this.#listener = listener
  }

  // It is async so that a refusal rejects the promise. The message is placed before the caller's first await.
  async publish (publication: Publication): Promise<Published> {
    const { room, idempotency } = publication
    const now = this.#time = Math.max(this.#time, Date.now()) // The system's clock may go backwards.
    if (idempotency === undefined) return this.#place(publication, now)

    const earlier = this.#remembered.replay(room, idempotency, now)
    if (earlier !== undefined) return earlier
    const published = this.#place(publication, now)
    this.#remembered.add(room, idempotency, published, now)
    return published
  }

  async notify (notice: NoticeEnvelope): Promise<void> {
    this.#deliver(notice)
  }

  async subscribe (room: string): Promise<Position | undefined> {
    const position = this.position(room) // Before the room is subscribed: that would keep an expired position.
    this.#subscribed.add(room)
    this.#idle.delete(room)
    return await position
  }

  async caughtUp (): Promise<void> {} // Publishes deliver at once.

  async unsubscribe (room: string): Promise<void> {
    this.#subscribed.delete(room)
    const state = this.#rooms.get(room)
    if (state === undefined) return
    state.until = Math.max(state.until, Date.now() + FRESH_POSITION_MS)
    this.#markIdle(room, state)
  }

  async position (room: string): Promise<Position | undefined> {
    const policy = this.#options.historyOf(room)
    return policy === undefined ? undefined : positionOf(this.#state(room, policy, Date.now()))
  }

  async history (room: string, query: HistoryQuery): Promise<HistoryPage> {
    const policy = this.#options.historyOf(room)
    if (policy === undefined) return { recovered: false, messages: [] }
    const now = Date.now()
    const state = this.#state(room, policy, now)
    this.#trim(state, now)
    return readPage(state, query)
  }

  async forget (room: string): Promise<void> {
    const state = this.#rooms.get(room)
    if (state !== undefined) this.#clear(state)
  }

  setOccupancy (room: string, connections: number): void {
    if (connections === 0) this.#occupancy.delete(room)
    else this.#occupancy.set(room, connections)
  }

  countElsewhere (): number {
    return 0
  }

  async occupied ({ prefix, cursor, limit, filter }: OccupancyQuery): Promise<{ rooms: Occupancy[], next?: string | undefined }> {
    let names: string[] = []
    for (const room of this.#occupancy.keys()) {
      if (room <= cursor || !room.startsWith(prefix) || !filter(room)) continue
      names.push(room)
      // Sorting now and then drops names beyond the page.
      if (names.length >= 4 * limit + 1_000) names = names.sort().slice(0, limit + 1)
    }
    names.sort()
    const rooms = names.slice(0, limit).map((room) => ({ room, audience: this.#occupancy.get(room) ?? 0 }))
    return names.length > limit ? { rooms, next: names[limit - 1] } : { rooms }
  }

  async close (): Promise<void> {
    clearInterval(this.#sweeper)
  }

  #place ({ room, fields, bytes, exclude }: Publication, now: number): Published {
    const audience = this.#occupancy.get(room) ?? 0
    const policy = this.#options.historyOf(room)
    if (policy === undefined) {
      this.#deliver({ kind: 'message', room, time: now, fields, bytes, exclude })
      return { time: now, audience, replayed: false }
    }
    const state = this.#state(room, policy, now)
    state.offset++
    state.until = now + positionLifetime(policy)
    const message = { offset: state.offset, time: now, fields, bytes, exclude }
    state.history.push(message)
    this.#historyBytes += sizeOf(message)
    this.#filled.set(state, true)
    this.#trim(state, now)
    if (this.#options.maxHistoryBytes > 0) this.#evict()

    const position = positionOf(state)
    this.#deliver({ kind: 'message', room, position, time: now, fields, bytes, exclude })
    return { position, time: now, audience, replayed: false }
  }

  #deliver (envelope: Envelope): void {
    if (this.#subscribed.has(envelope.room)) this.#listener(envelope)
  }

  /** Finds the state of a room. An unknown or expired room gets a new epoch. */
  #state (room: string, policy: HistoryPolicy, now: number): RoomState {
    let state = this.#rooms.get(room)
    const isSubscribed = this.#subscribed.has(room)
    if (state === undefined || (state.until <= now && !isSubscribed)) {
      if (state !== undefined) this.#clear(state)
      state = { policy, epoch: this.#newEpoch(), offset: 0, history: new History(), until: now + FRESH_POSITION_MS }
      this.#rooms.set(room, state)
    }
    if (!isSubscribed) this.#markIdle(room, state)
    return state
  }

  /** Makes an epoch above all earlier ones: an evicted room may be used again within the same ms. */
  #newEpoch (): string {
    this.#latestEpoch = Math.max(this.#latestEpoch + 1, Number(newEpoch()))
    return String(this.#latestEpoch)
  }

  /** Makes a room the most recently used one without a subscription, and evicts the least recently used beyond the bound. */
  #markIdle (room: string, state: RoomState): void {
    this.#idle.set(room, state)
    const { maxIdleRooms } = this.#options
    const oldest = maxIdleRooms > 0 && this.#idle.size > maxIdleRooms ? this.#idle.oldest : undefined
    if (oldest !== undefined) this.#remove(...oldest)
  }

  #remove (room: string, state: RoomState): void {
    this.#clear(state)
    this.#rooms.delete(room)
    this.#idle.delete(room)
  }

  /** Removes messages beyond the history's size and age. */
  #trim (state: RoomState, now: number): void {
    const { history, policy: { size, ttlSeconds } } = state
    const oldest = now - ttlSeconds * 1_000
    while (history.length > size || (history.first?.time ?? Infinity) <= oldest) {
      this.#historyBytes -= history.shift()
    }
    if (history.length === 0) this.#filled.delete(state)
  }

  #clear (state: RoomState): void {
    this.#historyBytes -= state.history.bytes
    state.history.clear()
    this.#filled.delete(state)
  }

  /** Evicts messages from the least recently used rooms, until all histories together are within the bound. */
  #evict (): void {
    for (let oldest; (oldest = this.#filled.oldest) !== undefined;) {
      const [state] = oldest
      while (state.history.length > 0) {
        if (this.#historyBytes <= this.#options.maxHistoryBytes) return
        this.#historyBytes -= state.history.shift()
      }
      this.#filled.delete(state)
    }
  }

  #sweep (): void {
    const now = Date.now()
    this.#remembered.forget(now)
    const count = Math.max(SWEEP_ROOMS, Math.ceil(this.#rooms.size / 60))
    this.#unswept ??= this.#rooms.entries()
    for (let i = 0; i < count; i++) {
      const { value, done } = this.#unswept.next()
      if (done === true) {
        this.#unswept = undefined
        return
      }
      const [room, state] = value
      this.#trim(state, now)
      if (state.until <= now && !this.#subscribed.has(room)) this.#remove(room, state)
    }
  }
}

function positionOf ({ epoch, offset }: RoomState): Position {
  return { epoch, offset }
}

function readPage (state: RoomState, { after, before, epoch, limit, maxBytes }: HistoryQuery): HistoryPage {
  const { history, offset: top } = state
  const position = positionOf(state)
  if (epoch !== undefined && epoch !== state.epoch) return { position, recovered: false, messages: [] }
  const first = history.first?.offset ?? top + 1
  const recovered = after === undefined || (after <= top && (after === top || first <= after + 1))
  const messages: StoredMessage[] = []
  let bytes = 0

  // Adds a message; false if it does not fit on the page.
  const take = (offset: number): boolean => {
    const message = history.at(offset)
    if (message === undefined) return false
    bytes += sizeOf(message)
    if (messages.length === limit || (messages.length > 0 && bytes > maxBytes)) return false
    messages.push(message)
    return true
  }

  if (after !== undefined) {
    const end = Math.min(top + 1, before ?? Infinity)
    let offset = Math.max(after + 1, first)
    while (offset < end && take(offset)) offset++
    return { position, recovered, messages, next: offset < end && messages.length > 0 ? offset - 1 : undefined }
  }
  let offset = Math.min(top, (before ?? Infinity) - 1)
  while (offset >= first && take(offset)) offset--
  return { position, recovered, messages: messages.reverse(), next: offset >= first && messages.length > 0 ? offset + 1 : undefined }
}
