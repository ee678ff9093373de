/**
 * Every error the service reports, by its stable code: the HTTP status it has on REST and on a refused
 * upgrade, the sentence a person reads, and whether the same request may succeed later.
 * `docs/errors.md` explains each code; a test keeps the two in step.
 */
export const ERRORS = {
  invalid_json: { status: 400, title: 'Invalid JSON', retryable: false },
  invalid_frame: { status: 400, title: 'Invalid frame', retryable: false },
  unknown_type: { status: 400, title: 'Unknown frame type', retryable: false },
  invalid_request: { status: 400, title: 'Invalid request', retryable: false },
  invalid_room: { status: 400, title: 'Invalid room name', retryable: false },
  too_deep: { status: 400, title: 'JSON is nested too deeply', retryable: false },
  unauthorized: { status: 401, title: 'Unauthorized', retryable: false },
  forbidden: { status: 403, title: 'Forbidden', retryable: false },
  origin_forbidden: { status: 403, title: 'Origin not allowed', retryable: false },
  not_joined: { status: 403, title: 'Not a member of this room', retryable: false },
  room_limit: { status: 403, title: 'Too many rooms on this connection', retryable: false },
  not_found: { status: 404, title: 'Not found', retryable: false },
  method_not_allowed: { status: 405, title: 'Method not allowed', retryable: false },
  message_too_large: { status: 413, title: 'Message too large', retryable: false },
  uri_too_long: { status: 414, title: 'URI too long', retryable: false },
  unsupported_media_type: { status: 415, title: 'Unsupported media type', retryable: false },
  idempotency_conflict: { status: 422, title: 'Idempotency key was used for another message', retryable: false },
  upgrade_required: { status: 426, title: 'Upgrade required', retryable: false },
  rate_limited: { status: 429, title: 'Too many requests', retryable: true },
  connection_limit: { status: 429, title: 'Too many connections', retryable: true },
  internal: { status: 500, title: 'Internal error', retryable: true },
  draining: { status: 503, title: 'Server going down', retryable: true },
  overloaded: { status: 503, title: 'Server overloaded', retryable: true },
  timeout: { status: 503, title: 'Timed out', retryable: true },
  unavailable: { status: 503, title: 'Temporarily unavailable', retryable: true },
  publish_unknown: { status: 504, title: 'Publish outcome unknown', retryable: true }
} as const

export type ErrorCode = keyof typeof ERRORS

/** An error that may be shown to the client: `detail` is written for them and holds no secrets. */
export class RoomcastError extends Error {
  override readonly name = 'RoomcastError'
  readonly code: ErrorCode
  readonly status: number
  readonly retryable: boolean
  /** How long to wait before trying again, in ms, where the service knows. */
  readonly retryAfterMs: number | undefined

  constructor (code: ErrorCode, detail?: string, retryAfterMs?: number) {
    super(detail ?? ERRORS[code].title)
    this.code = code
    this.status = ERRORS[code].status
    this.retryable = ERRORS[code].retryable
    this.retryAfterMs = retryAfterMs
  }
}

/** The error that a caller may see: a `RoomcastError` as it is, any other error as `internal` without its text. */
export function toRoomcastError (error: unknown): RoomcastError {
  return error instanceof RoomcastError ? error : new RoomcastError('internal', 'An unexpected error occurred; it has been logged')
}

/** The wait of a client that is refused during a graceful shutdown, ms: another instance is ready by then. */
const GOING_DOWN_RETRY_MS = 1_000

/** The refusal of a connection during a graceful shutdown. */
export function goingDown (): RoomcastError {
  return new RoomcastError('draining', 'This instance is going down', GOING_DOWN_RETRY_MS)
}
