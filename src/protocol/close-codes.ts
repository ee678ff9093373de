/**
 * The codes with which the server closes a WebSocket (RFC 6455, section 7.4), by the name of the reason. The documentation, the
 * client and metric labels use this table.
 */
export const CLOSE_CODES = {
  normal: 1000,
  goingDown: 1001,
  malformedFrame: 1002,
  invalidUtf8: 1007,
  unfinishedMessage: 1008,
  tooBig: 1009,
  internal: 1011,
  overloaded: 1013,
  unauthorized: 4001,
  slowConsumer: 4008,
  noHeartbeat: 4012,
  rateLimited: 4029,
  protocolError: 4500,
  removed: 4503,
  connectionLimit: 4509
} as const

export type CloseReason = keyof typeof CLOSE_CODES

/** The texts that are sent with the codes. Clients do not read them. */
export const CLOSE_TEXTS: Readonly<Record<CloseReason, string>> = {
  normal: '',
  goingDown: 'Server going down',
  malformedFrame: 'Malformed frame',
  invalidUtf8: 'Invalid UTF-8',
  unfinishedMessage: 'Message not finished',
  tooBig: 'Message too big',
  internal: 'Internal error',
  overloaded: 'Try again later',
  unauthorized: 'Unauthorized',
  slowConsumer: 'Slow consumer',
  noHeartbeat: 'No heartbeat',
  rateLimited: 'Rate limited',
  protocolError: 'Protocol error',
  removed: 'Removed by the server',
  connectionLimit: 'Too many connections'
}

/**
 * The next step of a client after a close code, also after one that it does not know:
 *
 * - `stay`: do not reconnect.
 * - `resume`: reconnect with backoff and resume by position; after `connectionLimit`, with delays from 30 s.
 * - `renew`: reconnect only with a new token.
 */
export function nextStep (code: number): 'stay' | 'resume' | 'renew' {
  if (code === CLOSE_CODES.unauthorized) return 'renew'
  return code === CLOSE_CODES.normal || (code >= 4500 && code < 5000 && code !== CLOSE_CODES.connectionLimit) ? 'stay' : 'resume'
}
