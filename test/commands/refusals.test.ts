import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import type { Publication } from '../../src/broker/broker.ts'
import { call, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { type Client, connect, type Frame } from '../support/websocket-client.ts'
import { encodeWire, OPCODE, RawSocket } from '../support/raw-socket.ts'

/** Everything that reaches the broker from here on. */
function watchBroker (app: FastifyInstance): Publication[] {
  const publications: Publication[] = []
  const publish = app.roomcast.broker.publish.bind(app.roomcast.broker)
  app.roomcast.broker.publish = async (publication) => {
    publications.push(publication)
    return await publish(publication)
  }
  return publications
}

/** What a client gets for a text that is sent as it is. */
async function errorOf (client: Client, text: string): Promise<Frame> {
  client.send(text)
  return await client.next('error')
}

test('what is not a JSON object is answered with an error that says so', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  for (const text of [
    '', ' ', 'hello', '{', '{"type":"ping"', "{'type':'ping'}", '{"type":"ping"}x', '{"a":1,}', 'NaN', 'undefined', '\ufeff', '\u0000',
    '[1,', '{"type":"ping"}\u0000'
  ]) {
    t.strictSame(
      await errorOf(client, text),
      { type: 'error', code: 'invalid_json', text: 'Invalid JSON', retryable: false },
      JSON.stringify(text)
    )
    t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
  }
  for (const text of ['null', '1', '"text"', 'true', '[]', '[{"type":"ping","id":5}]']) {
    const error = await errorOf(client, text)
    t.equal(error.code, 'invalid_frame', text)
    t.notOk('id' in error)
    await client.ask({ type: 'ping' })
  }
})

for (const text of ['not JSON', '[]', '7', 'null', '']) {
  test(`ten texts in a row like ${JSON.stringify(text)} end the connection with 4500`, async (t) => {
    const service = await startService(t)
    const client = await connect(service)
    const bystander = await connect(service, { query: 'room=lobby' })
    // Nine, something good, and nine again are not ten in a row.
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 9; i++) client.send(text)
      t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
    }
    for (let i = 0; i < 9; i++) client.send(text)
    client.send({ type: 'no such thing', id: 'an object, at least' })
    t.match(await client.next(({ id }) => id !== undefined), { code: 'unknown_type' })
    for (let i = 0; i < 9; i++) client.send(text)
    t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
    for (let i = 0; i < 20; i++) client.send(text)
    t.strictSame(await client.closed, { code: 4500, reason: 'Protocol error' })
    t.match(await bystander.ask({ type: 'chat', text: 'still here' }), { type: 'ack' })
  })
}

test('JSON objects that are no frames never end a connection, however many', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '0' })
  const client = await connect(service)
  for (let i = 0; i < 50; i++) client.send(i % 2 === 0 ? { type: 'no such thing' } : {})
  t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
})

test('an unknown type and wrong types are errors that echo a valid id', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const publications = watchBroker(service.app)
  const cases: [string, object][] = [
    ['invalid_frame', {}],
    ...[null, 5, true, [], {}, ['ping']].map((type): [string, object] => ['invalid_frame', { type }]),
    ...[
      '', 'Ping', 'ping ', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'message', 'joined', 'x'.repeat(10_000),
      '\ud83e\udd8a'.repeat(100)
    ].map((type): [string, object] => ['unknown_type', { type }]),
    ...[
      undefined, null, 5, '', ' ', 'a b', 'a/b', 'ä', 'x'.repeat(129), '@', '@x', '@user:ada', 'a\n', 'a\u202e', [], ['lobby'], {}
    ].flatMap((room): [string, object][] => [
      [room === undefined ? 'invalid_frame' : 'invalid_room', { type: 'join', room }],
      [room === undefined ? 'invalid_frame' : 'invalid_room', { type: 'leave', room }],
      ...(room === undefined
        ? []
        : [
            ['invalid_room', { type: 'chat', room, text: 'hi' }],
            ['invalid_room', { type: 'publish', room, data: 1 }]
          ] as [string, object][])
    ]),
    ...[undefined, null, 5, true, [], {}, ['hi']].map((text): [string, object] => ['invalid_frame', { type: 'chat', text }]),
    ...['', 5, null, 'x'.repeat(129), 'a\nb', 'a\u0000', [], {}].map((event): [string, object] => [
      'invalid_frame',
      { type: 'publish', data: 1, event }
    ]),
    ...['true', 1, null, {}].map((echo): [string, object] => ['invalid_frame', { type: 'publish', data: 1, echo }]),
    ...['5', -1, 1.5, null, true, 2 ** 53, {}].map((binary): [string, object] => ['invalid_frame', { type: 'publish', binary }])
  ]
  let id = 0
  for (const [code, frame] of cases) {
    const sent = { ...frame, id: ++id }
    client.send(sent)
    const answer = await client.next((answer) => answer.id === id)
    t.match(answer, { type: 'error', code, retryable: false }, JSON.stringify(sent).slice(0, 80))
    t.ok(String(answer.text).length < 1_000, 'the text is not as long as what was sent')
  }
  t.strictSame(publications, [])
})

test('what stands in __proto__ is data, and not part of the frame', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  t.equal((await errorOf(client, '{"__proto__":{"type":"ping"}}')).code, 'invalid_frame')
  t.equal((await errorOf(client, '{"type":"publish","__proto__":{"data":1}}')).code, 'invalid_json')
  t.equal((await errorOf(client, '{"type":"chat","__proto__":{"text":"hi"}}')).code, 'invalid_frame')
  t.equal(
    (await errorOf(client, '{"type":"join","__proto__":{"room":"x"},"constructor":{"prototype":{"room":"x"}}}')).code,
    'invalid_frame'
  )
  t.notOk('id' in await errorOf(client, '{"type":"nothing","__proto__":{"id":1}}'))
  const text = 'Invalid JSON: A member may not be named "__proto__", nor "constructor" with a member "prototype"'
  t.match(await errorOf(client, '{"type":"publish","id":2,"data":{"__proto__":{"isAdmin":true}}}'), { code: 'invalid_json', id: 2, text })
  for (let i = 0; i < 20; i++) client.send('{"type":"publish","data":1e309}')
  t.match(await client.ask({ type: 'ping' }), { type: 'pong' }, 'such frames do not end a connection')
  client.send('{"type":"ping","type":"chat","text":"the last of two counts","id":1}')
  t.match(await client.next('ack'), { id: 1 })
})

test('JSON nested too deeply is refused, however deep', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const publications = watchBroker(service.app)
  const nested = (open: string, close: string, depth: number) => `${open.repeat(depth)}1${close.repeat(depth)}`
  for (const depth of [33, 100, 8_000, 30_000]) {
    t.match(await errorOf(client, `{"type":"publish","id":${depth},"data":${nested('[', ']', depth)}}`), { code: 'too_deep', id: depth })
  }
  t.match(await errorOf(client, `{"type":"publish","id":1,"data":${nested('{"a":', '}', 8_000)}}`), { code: 'too_deep', id: 1 })
  t.match(
    await errorOf(client, `{"type":"ping","id":2,"extra":${nested('[', ']', 8_000)}}`),
    { code: 'too_deep', id: 2 },
    'also in what would be ignored'
  )
  t.match(await errorOf(client, nested('[', ']', 8_000)), { code: 'too_deep' })
  t.match(await errorOf(client, '['.repeat(60_000)), { code: 'invalid_json' })
  t.strictSame(publications, [])
  t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
})

test('nothing that is not granted or not joined reaches the broker', async (t) => {
  const service = await startService(t)
  const rooms = { 'read:*': ['join', 'history'], 'write:*': ['join', 'publish'], 'blind:{sub}': ['publish'] }
  const client = await connect(service, { token: makeToken({ rooms }) })
  await client.drain()
  const publications = watchBroker(service.app)
  const codes = async (room: string) => {
    client.send({ type: 'publish', room, binary: 3, id: 'binary' })
    client.send(Buffer.from('abc'))
    const answers = [
      await client.next(({ id }) => id === 'binary'),
      await client.ask({ type: 'chat', room, text: 'x' }),
      await client.ask({ type: 'publish', room, data: 1, key: 'k' })
    ]
    return [...new Set(answers.map(({ code }) => code))]
  }
  t.strictSame(await codes('write:a'), ['not_joined'])
  t.strictSame(await codes('blind:ada'), ['not_joined'], 'a grant to publish is not enough on a socket')
  t.strictSame(await codes('read:a'), ['forbidden'])
  t.strictSame(await codes('other'), ['forbidden'])
  await client.join('read:a')
  t.strictSame(await codes('read:a'), ['forbidden'], 'neither is to have joined')
  t.strictSame(await codes('@user'), ['forbidden'])
  t.strictSame(await codes('@all'), ['forbidden'])
  client.send(Buffer.from('to the latest joined'))
  t.match(await client.next('error'), { code: 'forbidden' })
  t.strictSame(publications, [])

  for (const room of ['other', 'blind:ada', 'read', 'read:a:b', 'READ:a']) {
    t.match(await client.join(room), { type: 'error', code: 'forbidden' }, room)
  }
  t.match(await client.ask({ type: 'history', room: 'write:a' }), { code: 'forbidden' })
  t.match(await client.ask({ type: 'history', room: 'read:never-joined' }), { type: 'history' })
  t.match(await client.ask({ type: 'history', room: '@all' }), { type: 'history' })
  t.equal(service.app.roomcast.hub.roomCount, 3, 'a refused join opens no room')

  await client.join('write:a')
  t.match(await client.ask({ type: 'chat', text: 'at last' }), { type: 'ack', room: 'write:a', offset: 1 })
  t.equal(publications.length, 1)
})

test('a connection may join 128 rooms, and the automatic ones do not count', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: Array.from({ length: 28 }, (_, i) => `room=url-${i}`).join('&') })
  for (let i = 0; i < 100; i++) client.send({ type: 'join', room: `room-${i}`, id: i })
  t.match(await client.next(({ id }) => id === 99), { type: 'joined' })
  t.match(await client.join('one-more'), { type: 'error', code: 'room_limit', retryable: false })
  t.match(await client.join('room-5'), { type: 'joined' }, 'one of the 128 again')
  t.match(await client.join('@all'), { type: 'joined' })
  await client.ask({ type: 'leave', room: 'room-5' })
  t.match(await client.join('one-more'), { type: 'joined' })
  t.match(await client.join('room-5'), { code: 'room_limit' })

  const other = await connect(service, {
    token: makeToken({ sub: 'bob' }),
    query: Array.from({ length: 130 }, (_, i) => `room=u${i}`).join('&')
  })
  const frames = await other.drain() as Frame[]
  t.equal(frames.filter(({ type }) => type === 'joined').length, 128)
  t.strictSame(frames.filter(({ type }) => type === 'error').map(({ code }) => code), ['room_limit', 'room_limit'])
})

test('10,000 rooms joined and left leave nothing behind', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '0', LOG_LEVEL: 'silent' })
  const { hub } = service.app.roomcast
  const client = await connect(service)
  await client.drain()
  const [connection] = hub.connections
  const before = { rooms: hub.roomCount, memberships: connection?.memberships.size }
  let most = 0
  for (let round = 0; round < 100; round++) {
    for (let i = 0; i < 100; i++) client.send({ type: 'join', room: `r-${round}-${i}` })
    await client.ask({ type: 'ping' })
    most = Math.max(most, hub.roomCount)
    for (let i = 0; i < 100; i++) client.send({ type: 'leave', room: `r-${round}-${i}` })
    const frames = await client.drain() as Frame[]
    if (frames.length !== 200 || frames.some(({ type }) => type === 'error')) t.fail('an answer is missing', { frames: frames.slice(0, 3) })
  }
  t.equal(most, before.rooms + 100)
  t.strictSame({ rooms: hub.roomCount, memberships: connection?.memberships.size }, before)
  t.equal(hub.backlog.bytes, 0)
  t.strictSame((await call(service, 'GET', '/v1/rooms')).body, { rooms: [] })

  // Without the leaves: the end of the connection is as good.
  for (let i = 0; i < 128; i++) client.send({ type: 'join', room: `last-${i}` })
  await client.drain()
  client.ws.terminate()
  await hub.emptied()
  t.equal(hub.roomCount, 0)
})

test('a burst over the rate is refused with the time to wait, and who does not stop is closed with 4029', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '1', MESSAGE_BURST: '5' })
  const client = await connect(service, { query: 'room=lobby' })
  const bystander = await connect(service, { query: 'room=lobby' })
  await bystander.next('joined')
  for (let i = 0; i < 7; i++) client.send({ type: 'chat', text: 'x', id: i })
  const refused = await client.next('error')
  t.match(refused, { code: 'rate_limited', retryable: true, id: 5 })
  t.ok(Number.isSafeInteger(refused.retryAfterMs) && Number(refused.retryAfterMs) > 0, 'says when')
  t.match(await client.next('error'), { code: 'rate_limited', id: 6 })
  t.match(await client.ask({ type: 'ping' }), { type: 'pong' }, 'pings have their own allowance')
  t.match(await client.join('elsewhere'), { type: 'joined' }, 'joins too')
  // What was announced is thrown away with its announcement, and is not a fault.
  client.send({ type: 'publish', binary: 3, id: 'b' })
  client.send(Buffer.from('abc'))
  t.match(await client.next('error'), { code: 'rate_limited', id: 'b' })
  t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
  for (let i = 0; i < 500; i++) {
    client.send(i % 3 === 0 ? Buffer.from('x') : i % 3 === 1 ? 'nonsense' : { type: 'history', room: 'lobby', id: 1 })
  }
  t.strictSame(await client.closed, { code: 4029, reason: 'Rate limited' })
  t.equal((await bystander.drain()).filter((item) => !Buffer.isBuffer(item) && item.type === 'message').length, 5)
})

test('pings and joins are limited too', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '1', MESSAGE_BURST: '2' })
  for (const frame of [{ type: 'ping' }, { type: 'join', room: 'lobby' }, { type: 'leave', room: 'lobby' }]) {
    const client = await connect(service)
    for (let i = 0; i < 500; i++) client.send({ ...frame, id: i })
    t.match(await client.next(({ code }) => code === 'rate_limited'), { type: 'error', retryable: true }, frame.type)
    t.equal((await client.closed).code, 4029)
  }
})

test('pings and pongs of the protocol are frames too, and are limited like them', async (t) => {
  const service = await startService(t)
  const raw = await RawSocket.open(service)
  await raw.settle()
  for (let i = 0; i < 100; i++) raw.send({ opcode: OPCODE.pong, payload: 'unasked' })
  await raw.settle()
  const pongs = Buffer.concat(Array.from({ length: 1_000 }, () => encodeWire({ opcode: OPCODE.pong })))
  for (let i = 0; i < 40; i++) raw.write(pongs)
  raw.sendJson({ type: 'ping', id: 'last' })
  t.strictSame(await Promise.race([raw.closeFrame, raw.find(({ id }) => id === 'last')]), { code: 4029, reason: 'Rate limited' })
  raw.socket.destroy()
})

test('an announced binary frame followed by anything else ends the connection with 4500', async (t) => {
  const service = await startService(t)
  const bystander = await connect(service, { query: 'room=lobby' })
  await bystander.next('joined')
  const publications = watchBroker(service.app)
  const next: Record<string, object | string | Buffer> = {
    'a shorter one': Buffer.from('ab'),
    'a longer one': Buffer.from('abcd'),
    'an empty one': Buffer.alloc(0),
    'a ping': { type: 'ping' },
    'a text of that length': 'abc',
    'another announcement': { type: 'publish', binary: 3 }
  }
  for (const [name, item] of Object.entries(next)) {
    const client = await connect(service, { query: 'room=lobby' })
    client.send({ type: 'publish', binary: 3, id: 1 })
    client.send(item)
    client.send(Buffer.from('abc'))
    client.send({ type: 'chat', text: 'too late' })
    t.strictSame(await client.closed, { code: 4500, reason: 'Protocol error' }, name)
  }
  const refused = await connect(service)
  refused.send({ type: 'publish', room: 'not a name', binary: 3, id: 1 })
  refused.send({ type: 'ping' })
  t.equal((await refused.closed).code, 4500, 'the same behind an announcement that was refused')
  t.strictSame(publications, [])
  t.match(await bystander.ask({ type: 'ping' }), { type: 'pong' })
})

test('a fault of the service is told as internal, is logged, and ends nothing', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const { broker } = service.app.roomcast
  broker.publish = async () => { throw new TypeError('a secret of the inside') }
  broker.history = async () => { throw new TypeError('a secret of the inside') }
  broker.subscribe = async () => { throw new TypeError('a secret of the inside') }
  for (const frame of [{ type: 'chat', text: 'hi' }, { type: 'history', room: 'lobby' }, { type: 'join', room: 'new' }]) {
    const answer = await client.ask(frame)
    t.match(answer, { type: 'error', code: 'internal', retryable: true }, frame.type)
    t.notMatch(String(answer.text), 'secret')
  }
  t.equal(service.log.filter((line) => line.includes('a secret of the inside')).length, 3)
  t.equal(service.app.roomcast.hub.room('new'), undefined, 'the room whose join failed is gone')
  t.match(await client.join('lobby'), { type: 'joined', audience: 1 }, 'rooms that are open go on')
})

test('rooms of the URL that cannot be joined are told one by one, and the others are joined', async (t) => {
  const service = await startService(t)
  const client = await connect(service, {
    token: makeToken({ rooms: { lobby: ['join'], hall: ['join'] } }),
    query: 'room=lobby&room=cellar&room=hall'
  })
  t.match(await client.drain(), [{ type: 'joined', room: 'lobby' }, { type: 'error', code: 'forbidden' }, { type: 'joined', room: 'hall' }])
})
