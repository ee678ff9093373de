/**
 * The codes with which the server closes a WebSocket (RFC 6455, section 7.4), their reasons, and the next step of the
 * client. The documentation, the client and metric labels use this table.
 *
 * - `stay`: do not reconnect.
 * - `resume`: reconnect with backoff and resume by position; after `connectionLimit`, with delays from 30 s.
 * - `renew`: reconnect only with a new token.
 */
export const CLOSE_CODES = {
  normal: { code: 1000, reason: '', client: 'stay' },
  goingDown: { code: 1001, reason: 'Server going down', client: 'resume' },
  malformedFrame: { code: 1002, reason: 'Malformed frame', client: 'resume' },
  invalidUtf8: { code: 1007, reason: 'Invalid UTF-8', client: 'resume' },
  unfinishedMessage: { code: 1008, reason: 'Message not finished', client: 'resume' },
  tooBig: { code: 1009, reason: 'Message too big', client: 'resume' },
  internal: { code: 1011, reason: 'Internal error', client: 'resume' },
  overloaded: { code: 1013, reason: 'Try again later', client: 'resume' },
  unauthorized: { code: 4001, reason: 'Unauthorized', client: 'renew' },
  slowConsumer: { code: 4008, reason: 'Slow consumer', client: 'resume' },
  noHeartbeat: { code: 4012, reason: 'No heartbeat', client: 'resume' },
  rateLimited: { code: 4029, reason: 'Rate limited', client: 'resume' },
  protocolError: { code: 4500, reason: 'Protocol error', client: 'stay' },
  removed: { code: 4503, reason: 'Removed by the server', client: 'stay' },
  connectionLimit: { code: 4509, reason: 'Too many connections', client: 'resume' }
} as const

export type CloseReason = keyof typeof CLOSE_CODES
