import type { FrameId, ServerFrames } from '../../src/protocol/frames.ts'

/** The codes of docs/errors.md whose requests may succeed later. */
export const RETRYABLE: readonly string[] = [
  'rate_limited', 'connection_limit', 'internal', 'draining', 'overloaded', 'timeout', 'unavailable', 'publish_unknown'
]

/** The refusal of a frame, which the client gets as an `error` frame. */
export class Refusal extends Error {
  readonly code: string
  readonly retryAfterMs: number | undefined

  constructor (code: string, text: string, retryAfterMs?: number) {
    super(text)
    this.code = code
    this.retryAfterMs = retryAfterMs
  }

  /** The frame for the client. */
  toFrame (id: FrameId | undefined): ServerFrames['error'] {
    const { code, message: text, retryAfterMs } = this
    return {
      type: 'error',
      code,
      text,
      retryable: RETRYABLE.includes(code),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(id !== undefined && { id })
    }
  }
}
