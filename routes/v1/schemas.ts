import { type ErrorCode, ERRORS } from '../../src/errors.ts'
import { Event, HistoryMessage, Key } from '../../src/protocol/frames.ts'
import { MAX_USER_BYTES, ORIGIN_PATTERN, ROOM_PATTERN } from '../../src/protocol/names.ts'
import { Type } from '../../src/protocol/schema.ts'

/** Schemas that several routes share. */

export const Room = Type.String({
  pattern: ROOM_PATTERN,
  description: 'A room: 1–128 of `A–Z a–z 0–9 _ . : @ = | + ~ -`, not starting with `@`.',
  examples: ['lobby']
})
export const RoomParams = Type.Object({ room: Room })
const User = { minLength: 1, maxLength: MAX_USER_BYTES, description: 'The `sub` of their tokens.', examples: ['ada'] }
// The schema counts characters; `isUser` counts bytes.
export const UserParams = Type.Object({ user: Type.String(User) })
/** As `isUser` checks it, except that a pattern cannot count bytes. */
export const DocumentedUserParams = Type.Object({ user: Type.String({ ...User, pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$' }) })

const Exclude = Type.String({ pattern: ORIGIN_PATTERN, description: 'The origin whose connections do not get it.' })

/** A message as JSON: exactly one of `text` and `data`. */
export const JsonMessage = Type.Object({
  text: Type.Optional(Type.String()),
  data: Type.Optional(Type.Unknown({ description: 'Any JSON, nested up to 32 deep.' })),
  event: Type.Optional(Event),
  exclude: Type.Optional(Exclude)
}, { description: 'Exactly one of `text` and `data`.', examples: [{ text: 'hello' }, { event: 'order.created', data: { id: 7 } }] })

/** Parameters beside a body that is the message itself. */
export const MessageQuery = Type.Object({ event: Type.Optional(Event), exclude: Type.Optional(Exclude) })

export const MessageBody = {
  content: {
    'application/json': { schema: JsonMessage },
    'text/plain': { schema: Type.String({ examples: ['hello'] }) },
    'application/octet-stream': { schema: Type.Unknown({ description: 'A binary message.' }) }
  }
}

/** The body as the handler checks it. */
export const DocumentedMessageBody = {
  content: {
    ...MessageBody.content,
    'application/json': { schema: { ...JsonMessage, oneOf: [{ required: ['text'] }, { required: ['data'] }] } }
  }
}

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional({ ...Key, description: 'Makes a retry safe for five minutes.' })
})

/** `epoch` and `offset` are absent in rooms without history. */
const Position = {
  epoch: Type.Optional(Type.String({ examples: ['1764000000000123'] })),
  offset: Type.Optional(Type.Integer({ examples: [42] }))
}

export const PublishedSchema = Type.Object({
  room: Type.String({ examples: ['lobby'] }),
  ...Position,
  time: Type.Integer({ description: 'ms since 1970', examples: [1764000000000] }),
  audience: Type.Integer({ description: 'Connections in the room at that moment.', examples: [3] })
}, { description: 'The message is in the room.' })

export const RoomSchema = Type.Object({
  room: Type.String({ examples: ['lobby'] }),
  ...Position,
  audience: Type.Integer({ examples: [3] })
}, { description: 'How the room stands.' })

export const RoomListSchema = Type.Object({
  rooms: Type.Array(Type.Object({ room: Type.String({ examples: ['lobby'] }), audience: Type.Integer({ examples: [3] }) })),
  next: Type.Optional(Type.String({ description: '`cursor` of the next page.' }))
}, { description: 'A page of rooms.' })

export const HistorySchema = Type.Object({
  room: Type.String({ examples: ['lobby'] }),
  ...Position,
  recovered: Type.Boolean({
    description: 'Whether no message is missing: the epoch is the room\'s, and every message after `after` is still kept.'
  }),
  messages: Type.Array(HistoryMessage),
  next: Type.Optional(Type.Integer({ description: '`after` of the next page; `before`, going back.' }))
}, { description: 'A page of history, ascending by offset.' })

export const ProblemSchema = Type.Object({
  type: Type.String({ examples: ['urn:roomcast:error:forbidden'] }),
  title: Type.String({ examples: ['Forbidden'] }),
  status: Type.Integer({ examples: [403] }),
  detail: Type.String({ examples: ['publish is not granted in lobby'] }),
  code: Type.String({ description: 'Stable; see docs/errors.md.', examples: ['forbidden'] }),
  retryable: Type.Boolean({ examples: [false] }),
  retryAfterMs: Type.Optional(Type.Integer())
}, { description: 'A problem document (RFC 9457).' })

/** The problems of every route. */
const EVERYWHERE: readonly ErrorCode[] = [
  'invalid_request', 'unauthorized', 'forbidden', 'origin_forbidden', 'not_found', 'uri_too_long', 'rate_limited', 'internal', 'draining',
  'timeout', 'unavailable'
]

/** The problems of a route with a body. */
export const BODY: readonly ErrorCode[] = ['message_too_large', 'unsupported_media_type']

/** The problems of a route that publishes. */
export const PUBLISH: readonly ErrorCode[] = [...BODY, 'invalid_json', 'too_deep', 'idempotency_conflict', 'overloaded', 'publish_unknown']

/** Describes the problem documents of a route by their statuses: those of every route, and those with the given codes. */
export function problems (...codes: ErrorCode[]): object {
  const byStatus: Record<number, ErrorCode[]> = {}
  for (const code of new Set([...EVERYWHERE, ...codes])) (byStatus[ERRORS[code].status] ??= []).push(code)
  return Object.fromEntries(Object.entries(byStatus).map(([status, some]) => [status, {
    description: some.map((code) => `\`${code}\``).join(', '),
    content: { 'application/problem+json': { schema: ProblemSchema } }
  }]))
}
