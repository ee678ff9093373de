import { CLOSE_CODES, type CloseReason } from '../src/protocol/close-codes.ts'
import type { Transport } from './link.ts'

/** The reason for a missing connection: the name of a close code (docs/errors.md), a lost connection, or a failed token function. */
export type StatusReason = CloseReason | 'lost' | 'token'

/** The state of a client's connection. A change replaces the object. */
export interface Status {
  /** `waiting` lasts until the next attempt, `disconnected` until `connect()`; `closed` is final. */
  readonly state: 'connecting' | 'connected' | 'waiting' | 'disconnected' | 'closed'
  /** The reason for the end of the last connection or attempt. */
  readonly reason?: StatusReason
  /** The close code. */
  readonly code?: number
  /** The error behind the reason: of the network, of the token function, or with the status of an answer. Browsers hide some of these. */
  readonly cause?: Error
  /** The time of the next attempt, ms since 1970. */
  readonly retryAt?: number
  /** The transport in use. */
  readonly transport?: Transport
}

/** The reason that a close code stands for. */
export function reasonOf (code: number): StatusReason {
  let reason: CloseReason
  for (reason in CLOSE_CODES) if (CLOSE_CODES[reason] === code) return reason
  return 'lost'
}
