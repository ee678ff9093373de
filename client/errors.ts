/**
 * What became of something that was asked of Roomcast. `code` is one of the service's stable codes (docs/errors.md), or
 * one of the client's own:
 *
 * - `closed`: the client was closed before there was an answer.
 * - `unknown`: a publish had no answer for four minutes; it may be in the room.
 * - `queue_full`: too many publishes wait already; this one was not sent.
 * - `not_joined`: the room is not joined.
 * - `reset`: an iteration over a room cannot go on without a gap.
 */
export class RoomcastError extends Error {
  override readonly name = 'RoomcastError'
  readonly code: string
  /** Whether the same may succeed later. */
  readonly retryable: boolean
  /** When to try again, ms from now, where the service said so. */
  readonly retryAfterMs: number | undefined

  constructor (code: string, message: string, { retryable = false, retryAfterMs, cause }: { retryable?: boolean, retryAfterMs?: number | undefined, cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable
    this.retryAfterMs = retryAfterMs
  }
}

/** Of everything that a closed client is asked for. */
export function closed (): RoomcastError {
  return new RoomcastError('closed', 'The client is closed')
}
