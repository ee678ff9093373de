import type { ServerFrames } from '../src/protocol/frames.ts'
import { readDelay } from './delay.ts'

/**
 * A failed request to Roomcast. `code` is one of the service's stable codes (docs/errors.md), or one of the client's own:
 *
 * - `closed`: the client was closed before the answer.
 * - `unknown`: a publish had no answer for four minutes; the message may be in the room.
 * - `queue_full`: too many requests wait already; this one was not sent.
 * - `timeout`: a history read had no answer in time.
 * - `not_joined`: the room is not joined.
 * - `already_joined`: the room is joined already, so it cannot be joined from another position.
 * - `load_failed`: the function that loads a room's state failed; it is called again.
 * - `invalid_request`: an argument is invalid, or a value cannot be sent.
 * - `reset`: an iteration over a room cannot go on without a gap.
 */
export class RoomcastError extends Error {
  override readonly name = 'RoomcastError'
  readonly code: string
  /** Whether a retry may succeed. */
  readonly retryable: boolean
  /** The wait before a retry, ms, where the service gave one. */
  readonly retryAfterMs: number | undefined

  constructor (
    code: string,
    message: string,
    { retryable = false, retryAfterMs, cause }: { retryable?: boolean, retryAfterMs?: number | undefined, cause?: unknown } = {}
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable
    this.retryAfterMs = retryAfterMs
  }
}

/** The error of every request to a closed client. */
export function closed (): RoomcastError {
  return new RoomcastError('closed', 'The client is closed')
}

/** The error of an error frame. */
export function toError ({ code, text, retryable, retryAfterMs }: ServerFrames['error']): RoomcastError {
  return new RoomcastError(code, text, { retryable, retryAfterMs: readDelay(retryAfterMs) })
}

/** Converts a thrown value to an error: anything can be thrown. */
export function toCause (thrown: unknown): Error {
  try {
    return thrown instanceof Error ? thrown : new Error(`This was thrown: ${String(thrown)}`, { cause: thrown })
  } catch {
    return new Error('An object without a text was thrown', { cause: thrown })
  }
}
