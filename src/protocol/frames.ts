import type { Static, TProperties, TSchema } from 'typebox'
import { KEY_PATTERN, MAX_EVENT_CHARACTERS, MAX_KEY_CHARACTERS, PRINTABLE_PATTERN, ROOM_OR_ALIAS_PATTERN } from './names.ts'
import { Type } from './schema.ts'

/**
 * The frames of the WebSocket protocol: JSON text, an object with a `type`. `docs/protocol.md` describes them.
 * Unknown properties are ignored, wrong types are refused.
 */

/** A client's name for a frame, which the answer repeats. */
const Id = Type.Union([Type.String({ minLength: 1, maxLength: 128 }), Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })])
const Room = Type.String({ pattern: ROOM_OR_ALIAS_PATTERN })
const Offset = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const Epoch = Type.String({ minLength: 1, maxLength: 32 })
const Instant = Type.Integer({ description: 'ms since 1970' })

/** The name of the event that a message reports, chosen by its publisher. */
export const Event = Type.String({ minLength: 1, maxLength: MAX_EVENT_CHARACTERS, pattern: PRINTABLE_PATTERN })
/** A publisher's name for one publish, which makes its retry safe. */
export const Key = Type.String({ minLength: 1, maxLength: MAX_KEY_CHARACTERS, pattern: KEY_PATTERN })

const frame = <const T extends string, P extends TProperties>(type: T, properties: P, description: string) =>
  Type.Object({ type: Type.Literal(type), ...properties }, { description })

/** Client → server. One schema for each `type`; the dispatch table in `commands/` has one handler for each. */
export const CLIENT_FRAMES = {
  join: frame('join', {
    room: Room,
    since: Type.Optional(Type.Object({ epoch: Epoch, offset: Offset }, {
      description: 'The position up to which this client has the messages of the room.'
    })),
    id: Type.Optional(Id)
  }, 'Become a member of a room; with `since`, get what was missed.'),
  leave: frame('leave', { room: Room, id: Type.Optional(Id) }, 'Stop being a member of a room.'),
  chat: frame('chat', {
    text: Type.String(),
    room: Type.Optional(Room),
    id: Type.Optional(Id)
  }, 'Publish a text to `room`, or to the latest joined of the rooms still joined.'),
  publish: frame('publish', {
    room: Type.Optional(Room),
    data: Type.Optional(Type.Unknown({ description: 'Any JSON.' })),
    binary: Type.Optional(Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Instead of `data`: the length in bytes of the binary frame that follows.'
    })),
    event: Type.Optional(Event),
    key: Type.Optional(Key),
    echo: Type.Optional(Type.Boolean({ description: "`false` leaves out this client's own connections." })),
    id: Type.Optional(Id)
  }, 'Publish JSON, or the binary frame that follows.'),
  history: frame('history', {
    room: Room,
    after: Type.Optional(Offset),
    before: Type.Optional(Offset),
    epoch: Type.Optional(Epoch),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    id: Id
  }, 'Read the messages that the room remembers.'),
  ping: frame('ping', { id: Type.Optional(Id) }, 'Ask for a `pong`.')
} as const

export type ClientFrames = { [T in keyof typeof CLIENT_FRAMES]: Static<(typeof CLIENT_FRAMES)[T]> }
export type ClientFrame = ClientFrames[keyof ClientFrames]
export type FrameId = Static<typeof Id>

/** `epoch` and `offset` are absent in rooms without history. */
const OptionalPosition = { epoch: Type.Optional(Epoch), offset: Type.Optional(Offset) }
const Content = {
  from: Type.String(),
  time: Instant,
  event: Type.Optional(Event),
  text: Type.Optional(Type.String()),
  data: Type.Optional(Type.Unknown())
}

/** A message on a page of history, with exactly one of `text`, `data` and `base64`. */
export const HistoryMessage = Type.Object({
  type: Type.Literal('message'),
  room: Type.String(),
  offset: Offset,
  ...Content,
  base64: Type.Optional(Type.String({ description: 'The bytes of a binary message.' }))
}, { description: 'A message of the history.' })

/** Server → client. */
export const SERVER_FRAMES = {
  welcome: frame('welcome', {
    connection: Type.String(),
    origin: Type.String(),
    user: Type.String(),
    expiresAt: Instant,
    heartbeatMs: Type.Integer(),
    rooms: Type.Array(Type.Object({ room: Type.String(), ...OptionalPosition }))
  }, 'The first frame, with the subprotocol `roomcast.v1` only. `rooms` are the automatic ones.'),
  joined: frame('joined', {
    room: Type.String(),
    ...OptionalPosition,
    audience: Type.Integer(),
    recovered: Type.Optional(Type.Boolean({ description: 'With `since`: whether all missed messages follow. If not, none follows.' })),
    missed: Type.Optional(Type.Integer({
      minimum: 0,
      description: 'If `recovered`: the number of messages after `since`, up to `offset`, that follow.'
    })),
    id: Type.Optional(Id)
  }, 'This connection is a member now; messages after `offset` follow, behind those that were missed.'),
  left: frame('left', {
    room: Type.String(),
    id: Type.Optional(Id),
    reason: Type.Optional(Type.Union([Type.Literal('removed'), Type.Literal('forbidden')]))
  }, 'This connection is no longer a member.'),
  ack: frame('ack', { id: Id, room: Type.String(), ...OptionalPosition }, 'The publish with this `id` is in the room.'),
  pong: frame('pong', { id: Type.Optional(Id) }, 'The answer to `ping`.'),
  message: frame('message', {
    room: Type.String(),
    offset: Type.Optional(Offset),
    ...Content,
    binary: Type.Optional(Type.Integer({ description: 'The length in bytes of the binary frame that follows at once.' }))
  }, 'What was published. Exactly one of `text`, `data` and `binary` is there.'),
  system: frame('system', {
    room: Type.String(),
    event: Type.Union([Type.Literal('joined'), Type.Literal('left'), Type.Literal('members')]),
    user: Type.Optional(Type.String()),
    count: Type.Optional(Type.Integer()),
    text: Type.String()
  }, 'Somebody joined or left; in rooms of more than 100 members, how many there are.'),
  history: frame('history', {
    id: Id,
    room: Type.String(),
    ...OptionalPosition,
    recovered: Type.Boolean(),
    messages: Type.Array(HistoryMessage),
    next: Type.Optional(Offset)
  }, 'A page of history.'),
  reset: frame('reset', {
    room: Type.String(),
    ...OptionalPosition,
    reason: Type.Union([Type.Literal('epoch'), Type.Literal('history')], {
      description: '`epoch`: the room has a new epoch. `history`: messages were lost on their way and are not kept any more.'
    })
  }, 'Continuity was lost: messages may be missing. Load your state anew; messages after `offset` follow.'),
  error: frame('error', {
    code: Type.String(),
    text: Type.String(),
    retryable: Type.Boolean(),
    retryAfterMs: Type.Optional(Type.Integer()),
    id: Type.Optional(Id)
  }, 'The frame with this `id` was refused; the connection stays open.'),
  shutdown: frame('shutdown', { text: Type.String(), retryAfterMs: Type.Integer() },
    'The server closes this connection soon: come back `retryAfterMs` after the close.')
} as const satisfies Record<string, TSchema>

export type ServerFrames = { [T in keyof typeof SERVER_FRAMES]: Static<(typeof SERVER_FRAMES)[T]> }
export type ServerFrame = ServerFrames[keyof ServerFrames]
