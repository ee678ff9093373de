import type { Position } from '../../src/protocol/position.ts'

/** A message by its publisher and that one's count: `3:17`. */
export type MessageId = string

/** What a subscriber saw of one room, in order. */
export type Sight =
  | {
    kind: 'joined',
    at: number,
    position: Position,
    since?: Position | undefined,
    recovered?: boolean | undefined,
    missed?: number | undefined
  }
  | { kind: 'reset', at: number, position: Position, reason: string }
  | { kind: 'message', at: number, offset: number, id: MessageId }
  | { kind: 'closed', at: number, code: number }

/** A subscriber's view of a room. `at` is in ms since the start of the run, here and everywhere. */
export interface View {
  subscriber: string
  room: string
  sights: Sight[]
}

/** What became of a message that somebody published. */
export interface Publish {
  id: MessageId
  publisher: number
  room: string
  firstAt: number
  /** Each attempt's answer, in order. */
  attempts: string[]
  acknowledged?: { at: number, position: Position, replayed: boolean } | undefined
  /** Its publisher has given it up, and was right: it may be in the room or not. */
  isUnknown?: boolean
}

/** What a room has at the end. */
export interface Final {
  room: string
  position: Position
  /** What history still has, ascending. */
  messages: { offset: number, id: MessageId }[]
}

/** Everything that was written down in a run: what the checker judges by. */
export interface Records {
  /** Redis kept what it had acknowledged: no epoch ends, and no loss may be declared that is not one. */
  durable: boolean
  /** A client that has missed more than this many may be told that they are lost. */
  pageMessages: number
  views: View[]
  publishes: Publish[]
  finals: Final[]
  /** What else should not have happened: processes that ended by themselves, answers nobody expects. */
  incidents: { at: number, text: string }[]
  /** What was done, for the excerpts. */
  faults: { at: number, text: string }[]
}
