import type { Envelope, NoticeEnvelope, Position } from '../protocol/envelope.ts'
import type { EncodedContent } from '../protocol/message.ts'

/** What is put into a room. */
export interface Publication extends EncodedContent {
  room: string
  /** The origin whose connections do not get it. */
  exclude?: string | undefined
  /** Makes a retry safe; without it a repeated call is another message. */
  idempotency?: Idempotency | undefined
}

/** Recognises a publish that comes again. */
export interface Idempotency {
  /** Names the publish: unique for caller and key (the broker adds the room). */
  id: string
  /** Of everything that makes up the message: another fingerprint under the same name is a conflict. */
  fingerprint: string
}

/** What became of a publication. */
export interface Published {
  /** Absent in rooms without history. */
  position?: Position | undefined
  /** The broker's clock, ms since 1970. */
  time: number
  /** Connections in the room at that moment, over all nodes. */
  audience: number
  /** Whether this is the answer that an earlier publish with the same key got. */
  replayed: boolean
}

/** How much of a room is remembered: the latest messages, as long as they are not too old. Both are above 0. */
export interface HistoryPolicy {
  size: number
  ttlSeconds: number
}

/** What a broker asks about a room's history; undefined for a room without. */
export type HistoryOf = (room: string) => HistoryPolicy | undefined

/** Which part of a room's history is asked for. Offsets are exclusive. */
export interface HistoryQuery {
  /** The messages after this offset, oldest first. */
  after?: number | undefined
  /** The messages before this offset; without `after` the latest of them. */
  before?: number | undefined
  /** The epoch that the offsets belong to. */
  epoch?: string | undefined
  /** At most this many messages. */
  limit: number
  /** And at most this many bytes of content, but always one message. */
  maxBytes: number
}

/** A message as history keeps it. */
export interface StoredMessage extends EncodedContent {
  offset: number
  time: number
  /** The origin whose connections did not get it. */
  exclude?: string | undefined
}

/** A part of a room's history. */
export interface HistoryPage {
  /** The top of the room; absent in rooms without history. */
  position?: Position | undefined
  /**
   * Whether nothing is missing: the epoch asked for is the room's, and every message after `after` is still kept.
   * With `after`, this is the exact rule for a subscriber that comes back.
   */
  recovered: boolean
  /** Ascending by offset. */
  messages: StoredMessage[]
  /** There is more in the direction asked for: `after` (or `before`, going back) of the next page. */
  next?: number | undefined
}

/** An occupied room. */
export interface Occupancy {
  room: string
  /** Connections over all nodes. */
  audience: number
}

/** Which occupied rooms are asked for. */
export interface OccupancyQuery {
  prefix: string
  /** The last name of the page before. */
  cursor: string
  limit: number
  /** Rooms it returns false for are passed over. */
  filter: (room: string) => boolean
}

/**
 * What is between the nodes: the order of each room, its history, and the way to the nodes that have members.
 *
 * **Order.** A publish puts its message into the room in one atomic step: it gets the next offset of the room's
 * epoch (from 1, no gaps), it is in the history, and it goes to every subscribed node. When two callers publish at
 * once, one is first, for everybody. `publish` calls of one caller to one room keep the order of the calls, whether
 * or not they are awaited. Once `publish` has resolved, `history` and `position` know the message.
 *
 * **Delivery.** The listener gets the envelopes of the rooms that are subscribed, from this node and from others
 * alike, a room's messages in the order of their offsets. It may be called before `publish` resolves. Delivery may
 * lose or repeat messages on a bad day (offsets tell); history does not. After such a day, and now and then in quiet
 * rooms, a `position` envelope says where a room stands. Notices arrive at most once.
 *
 * **Epochs.** A room that was forgotten, or whose state cannot be trusted, starts again at offset 1 under an epoch
 * that never was before. Example: positions `a:1`, `a:2`, then the state is lost, then `b:1`. Whoever holds `a:2`
 * learns from the epoch, not from the offset, that `b:1` does not continue it.
 *
 * **Idempotency.** For five minutes the same `idempotency.id` in the same room gets the first answer again
 * (`replayed`) and makes no message; with another fingerprint it is refused with `idempotency_conflict`. Two at
 * once: one makes the message, the other is the replay.
 *
 * **History** keeps the latest messages up to a number, an age and (in memory) a size in all. What age has taken is
 * not shown even if it has not been removed yet. `forget` removes the messages and keeps the position.
 *
 * **Lifetime.** A room's position is kept for the longer of 24 h and twice the history's age after the latest
 * publish, for 10 minutes when it was only asked for, and as long as a node is subscribed.
 *
 * **Errors** are `RoomcastError`: `unavailable` when it certainly did not happen, `publish_unknown` when it may have.
 */
export interface Broker {
  /** Where envelopes go. Set once, before anything is subscribed. */
  listen (listener: (envelope: Envelope) => void): void

  publish (publication: Publication): Promise<Published>

  /** Sends a notice to the members of its room, on every node. */
  notify (notice: NoticeEnvelope): Promise<void>

  /** Wants the room's envelopes; resolves when they come for certain, with the position read after that. */
  subscribe (room: string): Promise<Position | undefined>

  /** Does not want them any more. */
  unsubscribe (room: string): Promise<void>

  /**
   * The top of a room; a room that never was gets an epoch and stands at 0.
   *
   * @param seen what was delivered: a top below it, in the same epoch, is an older state that came back. Its offsets
   * would be given out again, so it starts a new epoch.
   */
  position (room: string, seen?: Position): Promise<Position | undefined>

  history (room: string, query: HistoryQuery): Promise<HistoryPage>

  /** Forgets a room's messages. */
  forget (room: string): Promise<void>

  /** Sets the number of connections that this instance has in a room; 0 takes the room off the list of occupied rooms. */
  setOccupancy (room: string, connections: number): void

  /** Counts the connections in a room on the other instances; synchronous if there are no other instances. */
  countElsewhere (room: string): Promise<number> | number

  /** Occupied rooms, by name. */
  occupied (query: OccupancyQuery): Promise<{ rooms: Occupancy[], next?: string | undefined }>

  /** Whether what is between the nodes can be reached. */
  readonly reachable: boolean

  /** Of this node, since the start. */
  readonly counts: Readonly<BrokerCounts>

  /** Lets go of everything. */
  close (): Promise<void>
}

/** What a broker counts. */
export interface BrokerCounts {
  /** Envelopes that are not ours, and were dropped. */
  foreign: number
  /** How often the way from the other nodes was found to be deaf, and was replaced. */
  probeFailures: number
}

/** How long a publish is remembered under its key, ms. */
export const IDEMPOTENCY_MS = 5 * 60_000

/** How long the position of a room is kept that was asked for and never published to, ms. */
export const FRESH_POSITION_MS = 10 * 60_000

/** How long a room's position is kept after a publish, ms. */
export function positionLifetime ({ ttlSeconds }: HistoryPolicy): number {
  return Math.max(24 * 3_600_000, 2 * ttlSeconds * 1_000)
}

/** An epoch that never was: ms since 1970 · 1000 plus a random part. */
export function newEpoch (): string {
  const now = Date.now()
  if (now !== latest.now) latest = { now, text: String(now) }
  return latest.text + String(1_000 + Math.floor(Math.random() * 1_000)).slice(1)
}

/** Digits of a number this large take long to make, and every publish brings a candidate. */
let latest = { now: 0, text: '' }
