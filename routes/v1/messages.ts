import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Ajv, type ValidateFunction } from 'ajv'
import type { Static } from 'typebox'
import { RoomcastError, toRoomcastError } from '../../src/errors.ts'
import { type Problem, toProblem } from '../../src/problem.ts'
import { Key } from '../../src/protocol/frames.ts'
import { sizeOf } from '../../src/protocol/message.ts'
import { isRoomName, ROOM_RULE } from '../../src/protocol/names.ts'
import { TRUSTED_SCHEMAS, Type } from '../../src/protocol/schema.ts'
import { checkJson, readJsonMessage, type Posted } from './content.ts'
import { toPublishedBody } from './publishing.ts'
import { JsonMessage, ProblemSchema, problems, PUBLISH, PublishedSchema, Room } from './schemas.ts'

const MAX_ITEMS = 100
/** Largest body of a batch, in multiples of one message. */
const BODY_FACTOR = 16

const Item = Type.Object({
  room: Room,
  ...JsonMessage.properties,
  base64: Type.Optional(Type.String({ description: 'A binary message (RFC 4648, section 4).' })),
  key: Type.Optional({ ...Key, description: 'Like Idempotency-Key, for this item.' })
}, { description: 'Exactly one of `text`, `data` and `base64`.' })

/** The handler tells an item with several contents, or without one, in a text that a caller understands. */
const DescribedItem = Object.assign({}, Item, { oneOf: [{ required: ['text'] }, { required: ['data'] }, { required: ['base64'] }] })

// The handler validates each item, so that an invalid item does not refuse the others. The body's schema takes any item.
const AnyItem = Type.Union([DescribedItem, Type.Unknown({ description: 'Refused by itself.' })])
/** Compiled for the first batch. */
let validateItem: ValidateFunction<Static<typeof Item>> | undefined

const PublishedItem = Type.Object({
  ...PublishedSchema.properties,
  replayed: Type.Optional(Type.Boolean({ description: 'The answer of an earlier publish with the same key.' }))
})
const RefusedItem = Type.Object({ error: ProblemSchema })
const Results = Type.Object({ results: Type.Array(Type.Union([PublishedItem, RefusedItem])) })
type Result = Static<typeof PublishedItem> | { error: Problem }

const example = {
  messages: [{ room: 'lobby', text: 'hello' }, { room: 'orders', event: 'order.created', data: { id: 7 }, key: 'order-7' }]
}

/** `POST /v1/messages`: publishes to several rooms at once. */
const route: FastifyPluginAsyncTypebox = async (app) => {
  const { MAX_MESSAGE_BYTES } = app.config

  app.post('/v1/messages', {
    preValidation: (request, _reply, done) => {
      checkJson(withoutItems(request.body))
      done()
    },
    ...(MAX_MESSAGE_BYTES > 0 && { bodyLimit: BODY_FACTOR * MAX_MESSAGE_BYTES }),
    schema: {
      tags: ['messages'],
      summary: 'Publish several messages',
      description: 'To one or several rooms; messages to the same room keep their order. Needs `publish` in each room.',
      body: Type.Object({ messages: Type.Array(AnyItem, { minItems: 1, maxItems: MAX_ITEMS }) }, { examples: [example] }),
      response: {
        201: Type.Object(Results.properties, { description: 'All were made.' }),
        207: Type.Object(Results.properties, { description: 'Some were not: a result or an error for each, in their order.' }),
        ...problems(...PUBLISH)
      }
    }
  }, async (request, reply) => {
    const { messages } = request.body
    app.publishRate.admit(request.roomcastIdentity.user, messages.length)
    const rooms = app.roomsFor(request.roomcastIdentity)
    request.roomcastPublishing = true
    const results = await Promise.all(messages.map(async (message): Promise<Result> => {
      try {
        const { room, key, posted } = readItem(message, MAX_MESSAGE_BYTES)
        // No await before this one: the publishes are made in the order of the items.
        const published = await rooms.publish(room, posted.content, { key, exclude: posted.exclude })
        return { ...toPublishedBody(room, published), ...(published.replayed && { replayed: true }) }
      } catch (error) {
        if (!(error instanceof RoomcastError)) request.log.error({ err: error }, 'publish failed')
        return { error: toProblem(toRoomcastError(error)) }
      }
    }))
    request.roomcastPublishing = results.some((result) => !('error' in result) || result.error.code === 'publish_unknown')
    return await reply.code(results.some((result) => 'error' in result) ? 207 : 201).send({ results })
  })
}

export default route

/** The body without its items. Each item is checked separately, so that an invalid item does not refuse the others. */
function withoutItems (body: unknown): unknown {
  return typeof body === 'object' && body !== null && !Array.isArray(body) ? { ...body, messages: undefined } : body
}

function readItem (item: unknown, maxBytes: number): { room: string, key: string | undefined, posted: Posted } {
  checkJson(item)
  const room = (item as { room?: unknown } | null)?.room
  if (typeof room === 'string' && !isRoomName(room)) throw new RoomcastError('invalid_room', ROOM_RULE)
  const isItem = validateItem ??= new Ajv({ ...TRUSTED_SCHEMAS, strict: false }).compile(Item)
  if (!isItem(item)) {
    const [fault] = isItem.errors ?? []
    throw new RoomcastError('invalid_request', `message${fault?.instancePath ?? ''} ${fault?.message ?? 'is invalid'}`)
  }
  const { base64, event, exclude, key, ...json } = item as Static<typeof Item>
  const named = event === undefined ? {} : { event }
  let posted: Posted
  if (base64 === undefined) posted = readJsonMessage({ ...json, ...named, ...(exclude !== undefined && { exclude }) })
  else if (json.text !== undefined || Object.hasOwn(json, 'data')) {
    throw new RoomcastError('invalid_request', 'A message has exactly one of "text", "data" and "base64"')
  } else posted = { content: { bytes: decodeBase64(base64), ...named }, exclude }
  const isTooLarge = maxBytes > 0 && sizeOf(posted.content) > maxBytes
  if (isTooLarge) throw new RoomcastError('message_too_large', `A message may have ${maxBytes} bytes`)
  return { room: json.room, key, posted }
}

function decodeBase64 (text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  const padded = bytes.toString('base64')
  // Buffer.from skips characters that are not base64. The padding may be left out.
  if (text !== padded && text !== padded.replace(/={1,2}$/, '')) {
    throw new RoomcastError('invalid_request', 'base64 is not valid (RFC 4648, section 4)')
  }
  return bytes
}
