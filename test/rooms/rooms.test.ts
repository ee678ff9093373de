import { inspect } from 'node:util'
import { test, type Test } from 'tap'
import type { Content } from '../../src/app.ts'
import { RoomcastError } from '../../src/errors.ts'
import { FAULTY_JSON, SOUND_JSON } from '../support/json-faults.ts'
import { type Service, startService } from '../support/service.ts'
import { connect } from '../support/websocket-client.ts'

async function codeOf (work: Promise<unknown> | (() => unknown)): Promise<unknown> {
  try {
    await (typeof work === 'function' ? work() : work)
    return undefined
  } catch (error) {
    return error instanceof RoomcastError ? error.code : error
  }
}

async function messagesIn ({ app }: Service, room: string): Promise<unknown[]> {
  const { page: { messages } } = await app.rooms.history(room)
  return messages.map(({ fields, bytes }) => {
    const content = JSON.parse(`{${fields.toString()}}`) as object
    return bytes === undefined ? content : { ...content, bytes: bytes.toString() }
  })
}

async function refuses (t: Test, service: Service, content: unknown, text: RegExp): Promise<void> {
  const error = await service.app.rooms.publish('lobby', content as Content).catch((error: unknown) => error)
  t.match(error, { name: 'RoomcastError', code: 'invalid_request', message: text }, inspect(content))
}

test('the application publishes in the shapes of REST', async (t) => {
  const service = await startService(t)
  const { rooms } = service.app
  await rooms.publish('lobby', { text: 'hi' })
  await rooms.publish('lobby', { data: { id: 7 }, event: 'order.created' })
  await rooms.publish('lobby', { bytes: new Uint8Array([104, 105]), event: 'blob' })
  t.strictSame(await messagesIn(service, 'lobby'), [
    { from: 'server', text: 'hi' },
    { from: 'server', event: 'order.created', data: { id: 7 } },
    { from: 'server', event: 'blob', bytes: 'hi' }
  ])
})

test('a content of another shape is refused, and nothing of it is in the room', async (t) => {
  const service = await startService(t)
  await refuses(t, service, { kind: 'text', text: 'hi' }, /has no "kind"; pass \{ text \}/)
  await refuses(t, service, { kind: 'data', data: 1 }, /has no "kind"/)
  for (const content of [undefined, null, 'hi', 7, []]) await refuses(t, service, content, /must be an object/)
  const bytes = new Uint8Array()
  for (const content of [{}, { text: undefined }, { data: undefined }, { text: 'a', data: 1 }, { text: 'a', bytes }]) {
    await refuses(t, service, content, /exactly one of/)
  }
  await refuses(t, service, { text: 7 }, /"text" must be a string/)
  await refuses(t, service, { bytes: 'aGk=' }, /"bytes" must be a Uint8Array/)
  await refuses(t, service, { text: 'a', event: 7 }, /"event" must be a string/)
  const circular: Record<string, unknown> = {}
  circular.self = circular
  for (const data of [() => {}, Symbol('s'), 1n, { n: 1n }]) await refuses(t, service, { data }, /"data" must be JSON/)
  for (const event of ['', 'x'.repeat(129), 'a\nb']) await refuses(t, service, { text: 'a', event }, /"event" must be a string of 1–128/)
  for (const data of [circular, JSON.parse('['.repeat(33) + ']'.repeat(33)), JSON.parse('['.repeat(8_000) + ']'.repeat(8_000))]) {
    t.equal(await codeOf(service.app.rooms.publish('lobby', { data })), 'too_deep')
  }
  t.strictSame(await messagesIn(service, 'lobby'), [])
})

test('JSON that REST and frames refuse is refused', async (t) => {
  const service = await startService(t)
  const { rooms } = service.app
  for (const value of FAULTY_JSON) {
    t.equal(await codeOf(rooms.publish('lobby', { data: JSON.parse(value) })), 'invalid_json', value)
  }
  const contents = [{ text: '\ud83d' }, { text: 'hi', event: '\udc4b' }, { data: NaN }, { data: Infinity }, { data: { n: [-Infinity] } }]
  for (const content of contents) t.equal(await codeOf(rooms.publish('lobby', content)), 'invalid_json', inspect(content))
  for (const key of ['\ud83d', ' k', 'k ']) t.equal(await codeOf(rooms.publish('lobby', { text: 'hi' }, { key })), 'invalid_request')
  t.strictSame(await messagesIn(service, 'lobby'), [])
  for (const value of SOUND_JSON) await rooms.publish('lobby', { data: JSON.parse(value) })
  const { page: { messages } } = await rooms.history('lobby')
  t.strictSame(
    messages.map(({ fields }) => fields.toString()),
    SOUND_JSON.map((value) => `"from":"server","data":${JSON.stringify(JSON.parse(value))}`)
  )
})

test('data is read as JSON.stringify reads it, and refused where that would lose it', async (t) => {
  const service = await startService(t)
  const { rooms } = service.app
  class Point { x = 1; get hidden () { return 2 } }
  const shared = { a: 1 }
  const good: [unknown, unknown][] = [
    [new Date(0), '1970-01-01T00:00:00.000Z'], [{ toJSON: () => [1] }, [1]], [new Point(), { x: 1 }], [{ a: undefined, b: 1 }, { b: 1 }],
    [new Proxy({ a: 1 }, {}), { a: 1 }], [[Object('s'), Object(1), Object(false)], ['s', 1, false]],
    [Object.create(null), {}], [[shared, shared], [{ a: 1 }, { a: 1 }]], [new URL('http://x/'), 'http://x/'],
    [Buffer.from('a'), { type: 'Buffer', data: [97] }]
  ]
  for (const [data, json] of good) {
    await rooms.publish('lobby', { data })
    t.strictSame((await messagesIn(service, 'lobby')).at(-1), { from: 'server', data: json }, inspect(data))
  }
  const count = good.length
  const throwing = { get a (): never { throw new Error('from a getter') } }
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  for (const data of [
    new Map([[1, 2]]), { a: new Set([1]) }, [new ArrayBuffer(1)], new Uint8Array(2), new DataView(new ArrayBuffer(1)), /x/, new Error('x'),
    Promise.resolve(1), [undefined], new Array(3), { f: () => {} }, { s: Symbol('s') }, { toJSON: () => undefined }, throwing,
    revoked.proxy,
    { toJSON () { throw new Error('x') } }, Object(1n), Object(Symbol('s'))
  ]) {
    await refuses(t, service, { data }, /"data" must be JSON/)
  }
  t.equal((await messagesIn(service, 'lobby')).length, count)
})

test('objects of the application that throw, or change, cannot get around the checks', async (t) => {
  const service = await startService(t)
  const { rooms } = service.app
  const throwing = (name: string): never => Object.defineProperty({}, name, { get () { throw new Error('from a getter') } }) as never
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  for (const content of [throwing('text'), throwing('kind'), revoked.proxy]) await refuses(t, service, content, /A message cannot be read/)
  const options: Promise<unknown>[] = [
    rooms.publish('lobby', { text: 'hi' }, throwing('key')), rooms.publish('lobby', { text: 'hi' }, [] as never),
    rooms.history('lobby', throwing('after')), rooms.history('lobby', revoked.proxy), rooms.list(throwing('prefix')),
    rooms.list({ prefix: 'x'.repeat(129) }), rooms.publish('lobby', { text: 'hi' }, { key: Symbol('k') as never })
  ]
  for (const work of options) t.equal(await codeOf(work), 'invalid_request')
  for (const caller of [throwing('user'), { user: 'ada', grants: new Proxy({}, { ownKeys () { throw new Error('x') } }) }, revoked.proxy]) {
    t.equal(await codeOf(() => rooms.as(caller as never)), 'invalid_request')
  }
  t.equal(await codeOf(rooms.publish(Symbol('lobby') as never, { text: 'hi' })), 'invalid_room')
  let reads = 0
  await rooms.publish('lobby', { get text () { return reads++ === 0 ? 'first' : undefined as never } })
  t.strictSame([reads, await messagesIn(service, 'lobby')], [1, [{ from: 'server', text: 'first' }]])
  const bytes = new Uint8Array(2)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  await refuses(t, service, { bytes }, /has been transferred/)
  for (const value of [new ArrayBuffer(2), new DataView(new ArrayBuffer(2)), new Uint16Array(2), [1], { length: 1 }]) {
    await refuses(t, service, { bytes: value }, /must be a Uint8Array/)
  }
  await rooms.publish('lobby', { bytes: new Uint8Array() })
})

test('a message of the application has the size limit of REST', async (t) => {
  const { rooms } = (await startService(t, { MAX_MESSAGE_BYTES: '100' })).app
  const ada = rooms.as({ user: 'ada', grants: { '**': ['publish'] } })
  for (const caller of [rooms, ada]) {
    for (const content of [{ text: 'a'.repeat(101) }, { text: 'é'.repeat(51) }, { data: 'a'.repeat(99) }, { bytes: Buffer.alloc(101) }]) {
      t.equal(await codeOf(caller.publish('lobby', content)), 'message_too_large')
    }
    for (const content of [{ text: 'é'.repeat(50) }, { data: 'a'.repeat(98) }, { bytes: Buffer.alloc(100) }]) {
      await caller.publish('lobby', content)
    }
  }
  const unlimited = (await startService(t, { MAX_MESSAGE_BYTES: '0' })).app.rooms
  await unlimited.publish('lobby', { text: 'a'.repeat(3_000_000) })
})

test('the application acts for a user whom it names in plain values', async (t) => {
  const service = await startService(t)
  const { rooms } = service.app
  const ada = rooms.as({ user: 'ada', grants: { 'orders:{sub}': ['publish', 'history'], '@user:bob': ['publish'] } })
  t.match(await ada.publish('orders:ada', { text: 'mine' }), { position: { offset: 1 } })
  t.strictSame(await messagesIn(service, 'orders:ada'), [{ from: 'ada', text: 'mine' }])
  t.match(await ada.publish('@user:bob', { text: 'for bob' }), { audience: 0 })
  t.equal(await codeOf(ada.publish('orders:bob', { text: 'x' })), 'forbidden')
  t.equal(await codeOf(ada.forget('orders:ada')), 'forbidden')
  t.equal(await codeOf(ada.describe('elsewhere')), 'forbidden')
  t.match(await ada.describe('orders:ada'), { room: 'orders:ada', audience: 0 })
  await connect(service, { query: 'room=orders:ada&room=orders:bob' })
  t.strictSame((await ada.list()).rooms, [{ room: 'orders:ada', audience: 1 }])
  t.equal((await rooms.list()).rooms.length, 2, 'the application sees all rooms')
})

test('keys of one user are not those of another, or of the application', async (t) => {
  const { rooms } = (await startService(t)).app
  const everything = { '**': ['*'] }
  const [ada, bob] = [rooms.as({ user: 'ada', grants: everything }), rooms.as({ user: 'bob', grants: everything })]
  for (const [caller, offset] of [[ada, 1], [bob, 2], [rooms, 3], [ada, 1], [rooms.as({ user: 'ada', grants: everything }), 1]] as const) {
    t.match(await caller.publish('lobby', { text: 'same' }, { key: 'k' }), { position: { offset } })
  }
})

test('a user or grants that no token could have are refused', async (t) => {
  const { rooms } = (await startService(t)).app
  for (const user of ['', 'a\nb', 'x'.repeat(256), 7, undefined, 'server', 'key:shop', '\ud83d']) {
    t.equal(await codeOf(() => rooms.as({ user: user as string, grants: {} })), 'invalid_request', String(user))
  }
  t.equal(await codeOf(() => rooms.as(null as never)), 'invalid_request')
  const claims = { user: 'bad\nuser', grants: { '**': ['*'] }, expiresAt: 1 }
  t.equal(await codeOf(() => rooms.as(claims)), 'invalid_request', 'also beside the claims of a token')
  for (const grants of [undefined, null, [], { lobby: 'join' }, { lobby: ['fly'] }, { lobby: [1n] }, { 'a*': ['join'] }]) {
    t.equal(await codeOf(() => rooms.as({ user: 'ada', grants: grants as never })), 'invalid_request', inspect(grants))
  }
})

test('arguments that no schema has seen are refused with a RoomcastError', async (t) => {
  const { rooms } = (await startService(t)).app
  const never = (value: unknown): never => value as never
  for (const name of [7, undefined, null, {}, { user: 'server' }, '', '@nobody']) {
    const room = never(name)
    const works = [rooms.publish(room, { text: 'x' }), rooms.history(room), rooms.forget(room), rooms.describe(room)]
    for (const work of works) {
      t.equal(await codeOf(work), 'invalid_room', String(name))
    }
  }
  for (const options of [null, { key: '' }, { key: 5 }, { key: 'a\nb' }, { key: 'x'.repeat(256) }, { exclude: 'short' }, { exclude: 7 }]) {
    t.equal(await codeOf(rooms.publish('lobby', { text: 'x' }, never(options))), 'invalid_request', JSON.stringify(options))
  }
  for (const options of [null, { limit: -1 }, { limit: 0 }, { limit: NaN }, { limit: '5' }, { after: -1 }, { before: 0.5 }, { epoch: 7 }]) {
    t.equal(await codeOf(rooms.history('lobby', never(options))), 'invalid_request', JSON.stringify(options))
  }
  for (const options of [null, { limit: 0 }, { prefix: 7 }, { cursor: {} }]) {
    t.equal(await codeOf(rooms.list(never(options))), 'invalid_request', JSON.stringify(options))
  }
  t.equal((await rooms.history('lobby')).page.messages.length, 0, 'and nothing of it was published')
})
