import type { RoomcastError } from '../errors.ts'
import type { Envelope, NoticeEnvelope } from '../protocol/envelope.ts'
import type { Position } from '../protocol/position.ts'
import type { EncodedContent } from '../protocol/message.ts'

/** A message to put into a room. */
export interface Publication extends EncodedContent {
  room: string
  /** The origin whose connections do not receive it. */
  exclude?: string | undefined
  /** Makes a retry safe. Without it, a repeated call makes another message. */
  idempotency?: Idempotency | undefined
}

/** Identifies the retries of a publish. */
export interface Idempotency {
  /** Names the publish, unique for caller and key. The broker adds the room. */
  id: string
  /** Hash of the whole message. Another fingerprint under the same name is a conflict. */
  fingerprint: string
  /** Refuses the publish if its name is new: no more names may be remembered. */
  refusal?: RoomcastError | undefined
}

/** The result of a publish. */
export interface Published {
  /** Absent in rooms without history. */
  position?: Position | undefined
  /** Time of the message by the broker's clock, ms since 1970. */
  time: number
  /** Number of connections in the room at that time, on all instances. */
  audience: number
  /** Whether it is the result of an earlier publish with the same key. */
  replayed: boolean
}

/** The extent of a room's history: the number of messages and their age. Both are above 0. */
export interface HistoryPolicy {
  size: number
  ttlSeconds: number
}

/** Finds the history policy of a room; undefined for a room without history. */
export type HistoryOf = (room: string) => HistoryPolicy | undefined

/** A part of a room's history. Offsets are exclusive. */
export interface HistoryQuery {
  /** Selects the messages after this offset, oldest first. */
  after?: number | undefined
  /** Selects the messages before this offset; without `after`, the latest of those. */
  before?: number | undefined
  /** The epoch that the offsets belong to. */
  epoch?: string | undefined
  /** Largest number of messages. */
  limit: number
  /** Largest size of the content, bytes. One message is always allowed. */
  maxBytes: number
}

/** A message in history. */
export interface StoredMessage extends EncodedContent {
  offset: number
  time: number
  /** The origin whose connections did not receive it. */
  exclude?: string | undefined
}

/** A part of a room's history. */
export interface HistoryPage {
  /** The position of the room; absent in rooms without history. */
  position?: Position | undefined
  /**
   * Whether the page is complete: the room has the requested epoch, and history still has every message after
   * `after`. With `after`, this is the exact rule for a resuming subscriber.
   */
  recovered: boolean
  /** Ascending by offset. */
  messages: StoredMessage[]
  /** The `after` of the next page, or its `before` when paging backwards; absent on the last page. */
  next?: number | undefined
}

/** An occupied room. */
export interface Occupancy {
  room: string
  /** Number of connections on all instances. */
  audience: number
}

/** A page of the occupied rooms. */
export interface OccupancyQuery {
  prefix: string
  /** The last name of the previous page. */
  cursor: string
  limit: number
  /** Returns false for rooms to skip. */
  filter: (room: string) => boolean
}

/**
 * The connection between instances: the order of each room, its history, and delivery to the instances with members.
 *
 * **Order.** A publish puts its message into the room in one atomic step: the message gets the next offset of the room's
 * epoch (from 1, without gaps), enters the history, and goes to every subscribed instance. Of two concurrent publishes,
 * all members see the same one first. The `publish` calls of one caller to one room keep their order, whether or not
 * they are awaited. Once `publish` has resolved, `history` and `position` include the message.
 *
 * **Delivery.** The listener gets the envelopes of subscribed rooms, from this instance and from others alike, the
 * messages of a room in the order of their offsets. It may be called before `publish` resolves. After a failure, delivery
 * may lose or repeat messages, which the offsets show; history does not. After a failure, and now and then in quiet
 * rooms, a `position` envelope tells the position of a room. Notices arrive at most once.
 *
 * **Epochs.** A room without trustworthy state starts again at offset 1, under an epoch that is new. Example: the
 * positions `a:1` and `a:2`, then the state is lost, then `b:1`. The epoch, not the offset, shows a client at `a:2` that
 * `b:1` does not continue its room.
 *
 * **Idempotency.** For five minutes, the same `idempotency.id` in the same room gets the first answer again (`replayed`)
 * and makes no message. With another fingerprint it is refused with `idempotency_conflict`. Of two concurrent publishes,
 * one makes the message and the other is the replay. With a `refusal`, only a replay succeeds; a new name is refused.
 *
 * **History** keeps the latest messages up to a number, an age and (in memory) a total size. Messages beyond the age are
 * hidden even if they are not removed yet. `forget` removes the messages and keeps the position.
 *
 * **Lifetime.** After a publish, the position is kept for the longer of 24 h and twice the age of the history. After a
 * mere read it is kept for 10 minutes. While an instance is subscribed, it is kept. In memory, the number of rooms without a
 * subscription has a bound: beyond it, the least recently used room loses its position and its history early.
 *
 * **Errors** are `RoomcastError`: `unavailable` if the call certainly had no effect, `publish_unknown` if it may have had.
 */
export interface Broker {
  /** Sets the receiver of envelopes. Call it once, before the first `subscribe`. */
  listen (listener: (envelope: Envelope) => void): void

  /** Puts a message into a room. */
  publish (publication: Publication): Promise<Published>

  /** Sends a notice to the members of its room, on all instances. */
  notify (notice: NoticeEnvelope): Promise<void>

  /** Subscribes to the envelopes of a room; resolves, once that is confirmed, with the position read afterwards. */
  subscribe (room: string): Promise<Position | undefined>

  /**
   * Resolves when the listener has got the envelopes of a subscribed room that were published before the call. It also
   * resolves if they are lost or late. In rooms with history, compare positions instead.
   */
  caughtUp (room: string): Promise<void>

  /** Ends the subscription of a room. */
  unsubscribe (room: string): Promise<void>

  /**
   * Reads the position of a room. An unknown room gets an epoch and the offset 0.
   *
   * @param seen the delivered position. A lower position in the same epoch is an older state, restored after a failure.
   * Its offsets would be assigned twice, so the room starts a new epoch.
   */
  position (room: string, seen?: Position): Promise<Position | undefined>

  /** Reads a part of a room's history. */
  history (room: string, query: HistoryQuery): Promise<HistoryPage>

  /** Removes the messages of a room. */
  forget (room: string): Promise<void>

  /** Sets the number of connections that this instance has in a room; 0 takes the room off the list of occupied rooms. */
  setOccupancy (room: string, connections: number): void

  /** Counts the connections in a room on the other instances; synchronous if there are no other instances. */
  countElsewhere (room: string): Promise<number> | number

  /** Lists occupied rooms in the order of their names. */
  occupied (query: OccupancyQuery): Promise<{ rooms: Occupancy[], next?: string | undefined }>

  /** Whether the backend is available. */
  readonly reachable: boolean

  /** Counters of this instance, since its start. */
  readonly counts: Readonly<BrokerCounts>

  /** Ends all subscriptions and releases all resources. */
  close (): Promise<void>
}

/** Counters of a broker. */
export interface BrokerCounts {
  /** Number of envelopes in an unknown format, which were dropped. */
  foreign: number
  /** Number of connections that answered and delivered no messages, and were replaced. */
  probeFailures: number
}

/** Time for which a publish is remembered under its key, ms. */
export const IDEMPOTENCY_MS = 5 * 60_000

/** Time for which the position of a room without publishes is kept after a read, ms. */
export const FRESH_POSITION_MS = 10 * 60_000

/** Time for which the position of a room is kept after a publish, ms. */
export function positionLifetime ({ ttlSeconds }: HistoryPolicy): number {
  return Math.max(24 * 3_600_000, 2 * ttlSeconds * 1_000)
}

/** Makes a new epoch: ms since 1970 · 1000 plus a random part. */
export function newEpoch (): string {
  const now = Date.now()
  if (now !== latest.now) latest = { now, text: String(now) }
  return latest.text + String(1_000 + Math.floor(Math.random() * 1_000)).slice(1)
}

/** The digits of the latest ms. Formatting such a large number is slow, and every publish sends a candidate. */
let latest = { now: 0, text: '' }
