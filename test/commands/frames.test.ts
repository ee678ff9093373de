import { test } from 'tap'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { type Client, connect, type Frame } from '../support/websocket-client.ts'
import { jsonWire, OPCODE, encodeWire, RawSocket } from '../support/raw-socket.ts'

/** The error that answers a frame. */
async function refused (client: Client, frame: Record<string, unknown>): Promise<string> {
  const answer = await client.ask(frame)
  return answer.type === 'error' ? String(answer.code) : `no error but ${answer.type}`
}

/** The rooms of the messages among frames. */
function roomsOf (items: (Frame | Buffer)[]): unknown[] {
  return items.filter((item): item is Frame => !Buffer.isBuffer(item) && item.type === 'message').map(({ room }) => room)
}

test('a join is answered with the position, the audience and the id it had', async (t) => {
  const service = await startService(t)
  const ada = await connect(service)
  const first = await ada.join('lobby')
  t.match(first, { type: 'joined', room: 'lobby', epoch: /^\d+$/, offset: 0, audience: 1 })
  t.strictSame(Object.keys(first).sort(), ['audience', 'epoch', 'id', 'offset', 'room', 'type'])

  await ada.ask({ type: 'chat', text: 'one' })
  const bob = await connect(service, { token: makeToken({ sub: 'bob' }) })
  t.match(await bob.join('lobby'), { offset: 1, audience: 2, epoch: first.epoch }, 'the offset is the top of the room')

  ada.send({ type: 'join', room: 'silent' })
  t.strictSame('id' in await ada.next((frame) => frame.type === 'joined'), false, 'no id where none was sent')
})

test('ids of every allowed form are echoed as they are, others are refused', async (t) => {
  const service = await startService(t)
  const client = await connect(service)
  for (const id of [0, 7, Number.MAX_SAFE_INTEGER, 'a', '0', '__proto__', '🦊'.repeat(64), 'x'.repeat(128), '"}\\']) {
    client.send({ type: 'ping', id })
    t.strictSame((await client.next('pong')).id, id)
  }
  for (const id of [-1, 1.5, 2 ** 53, '', 'x'.repeat(129), null, true, [], {}]) {
    client.send({ type: 'ping', id })
    const error = await client.next('error')
    t.equal(error.code, 'invalid_frame', JSON.stringify(id))
    t.notOk('id' in error, 'an id that is not valid is not echoed')
  }
  client.send({ type: 'ping', id: '\ud800' })
  const error = await client.next('error')
  t.strictSame([error.code, 'id' in error], ['invalid_json', false], 'half a character is no text')
  client.send({ type: 'ping' })
  t.strictSame(await client.next('pong'), { type: 'pong' })
})

test('unknown properties of a frame are ignored', async (t) => {
  const service = await startService(t)
  const client = await connect(service)
  t.match(await client.ask({ type: 'join', room: 'lobby', colour: 'red', toString: 1, data: {} }), { type: 'joined', room: 'lobby' })
  t.match(await client.ask({ type: 'chat', text: 'hi', event: 'not of a chat', data: 1, binary: 5 }), { type: 'ack', room: 'lobby' })
  t.strictSame(Object.keys(await client.next('message')).sort(), ['from', 'offset', 'room', 'text', 'time', 'type'])
})

test('who leaves a room is told so, gets nothing more of it, and cannot leave it again', async (t) => {
  const service = await startService(t)
  const [ada, bob] = [await connect(service), await connect(service, { token: makeToken({ sub: 'bob' }) })]
  await ada.join('lobby')
  await bob.join('lobby')
  t.strictSame(await ada.ask({ type: 'leave', room: 'lobby', id: 9 }), { type: 'left', room: 'lobby', id: 9 })
  await bob.ask({ type: 'chat', text: 'to those who are left' })
  t.strictSame(await ada.drain().then((items) => items.filter((item) => !Buffer.isBuffer(item) && item.type === 'message')), [])
  t.equal(await refused(ada, { type: 'leave', room: 'lobby' }), 'not_joined')
  t.equal(await refused(ada, { type: 'leave', room: 'never' }), 'not_joined')
  t.equal(await refused(ada, { type: 'chat', room: 'lobby', text: 'still here?' }), 'not_joined')
})

test('a chat reaches every member, its sender too, and is acknowledged behind the message where it has an id', async (t) => {
  const service = await startService(t)
  const [ada, bob] = [await connect(service), await connect(service, { token: makeToken({ sub: 'bob' }) })]
  await bob.join('lobby')
  await ada.join('lobby')
  await bob.next('system')
  ada.send({ type: 'chat', text: 'hi', id: 'c1' })
  const [message, ack] = [await bob.next('message'), await ada.next('ack')]
  t.strictSame(message, { type: 'message', room: 'lobby', offset: 1, from: 'ada', time: message.time, text: 'hi' })
  t.match(ack, { id: 'c1', room: 'lobby', offset: 1, epoch: /^\d+$/ })
  t.strictSame(await ada.next('message'), message)

  // The order, without taking frames out of turn.
  const raw = await RawSocket.open(service, { query: 'room=lobby' })
  await raw.find(({ type }) => type === 'joined')
  raw.sendJson({ type: 'chat', text: 'first the message', id: 1 })
  raw.sendJson({ type: 'chat', text: 'no ack' })
  await raw.find(({ text }) => text === 'no ack')
  await raw.settle()
  const frames = raw.received.map(({ payload }) => JSON.parse(payload.toString()) as Frame)
  const at = (type: string) => frames.findIndex((frame) => frame.type === type)
  t.ok(at('message') < at('ack'), 'the ack is behind the message')
  t.equal(frames.filter(({ type }) => type === 'ack').length, 1)
  raw.socket.destroy()
})

test('texts arrive as they were sent', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  for (const text of [
    '', ' ', '\u0000', '🦊 ß \u2028 \u202e', '"quotes" \\ {}', '</script>', 'x'.repeat(125), 'x'.repeat(126), 'x'.repeat(60_000)
  ]) {
    client.send({ type: 'chat', text })
    t.equal((await client.next('message')).text, text)
  }
})

test('a frame without a room is for the latest joined of the rooms still joined', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=url1&room=url2' })
  const say = async () => {
    const before = await client.ask({ type: 'chat', text: 'where?' })
    const publish = await client.ask({ type: 'publish', data: 1 })
    client.send(Buffer.from('where?'))
    const binary = await client.next((frame) => frame.type === 'message' && frame.binary !== undefined)
    await client.drain()
    return [before.room, publish.room, binary.room]
  }
  t.strictSame(await say(), ['url2', 'url2', 'url2'], 'of the URL the last')
  await client.join('a')
  await client.join('b')
  await client.join('c')
  t.strictSame(await say(), ['c', 'c', 'c'])
  await client.ask({ type: 'leave', room: 'c' })
  t.strictSame(await say(), ['b', 'b', 'b'])
  await client.join('a')
  t.strictSame(await say(), ['a', 'a', 'a'], 'to join again makes it the latest')
  await client.join('@all')
  t.strictSame(await say(), ['a', 'a', 'a'], 'an automatic room never is')
  t.equal(await refused(client, { type: 'join', room: 'not a name' }), 'invalid_room')
  t.strictSame(await say(), ['a', 'a', 'a'], 'neither is one whose join was refused')
  for (const room of ['url1', 'url2', 'a', 'b']) await client.ask({ type: 'leave', room })
  t.equal(await refused(client, { type: 'chat', text: 'nowhere' }), 'not_joined')
  client.send(Buffer.from('nowhere'))
  t.match(await client.next('error'), { code: 'not_joined' })
})

test('any JSON can be published and arrives as it was, with its event', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  const values = [
    'null',
    'false',
    '0',
    '-1.5e-7',
    '""',
    '[]',
    '{}',
    '[[[[]]]]',
    '{"a":{"b":[1,"2",null]}}',
    '"\\ud83d\\udc4b"',
    '{"prototype":{"admin":true},"constructor":{"name":{}},"toString":1,"type":"join"}',
    '{"text":"not mine","from":"root","offset":0,"room":"x"}'
  ]
  for (const value of values) {
    client.send(`{"type":"publish","data":${value},"event":"order.created"}`)
    const message = await client.next('message')
    t.equal(JSON.stringify(message.data), JSON.stringify(JSON.parse(value)))
    t.match(message, { event: 'order.created', from: 'ada', room: 'lobby' })
  }
  client.send({ type: 'publish', data: 1 })
  t.notOk('event' in await client.next('message'))
  t.equal(({} as { admin?: boolean }).admin, undefined)

  const deepest = `${'['.repeat(32)}${']'.repeat(32)}`
  client.send(`{"type":"publish","data":${deepest}}`)
  t.equal(JSON.stringify((await client.next('message')).data), deepest, '32 deep is allowed')
  t.equal((await client.ask({ type: 'publish', data: JSON.parse(`[${deepest}]`) })).code, 'too_deep', '33 is not')
})

test('a binary message arrives as a header and one binary frame right behind it, of any length', async (t) => {
  const service = await startService(t, { MAX_MESSAGE_BYTES: '100000' })
  const [ada, bob] = [
    await connect(service, { query: 'room=lobby' }),
    await connect(service, { token: makeToken({ sub: 'bob' }), query: 'room=lobby' })
  ]
  await bob.next('joined')
  await bob.drain()
  const sizes = [0, 1, 125, 126, 65_535, 65_536, 100_000]
  for (const size of sizes) {
    const bytes = Buffer.alloc(size, size % 251)
    ada.send({ type: 'publish', binary: size, event: 'blob', id: size })
    ada.send(bytes)
    await ada.next((frame) => frame.type === 'ack' && frame.id === size)
    const [header, payload, ...rest] = await bob.drain()
    t.match(header, { type: 'message', room: 'lobby', binary: size, event: 'blob', from: 'ada' })
    t.ok(Buffer.isBuffer(payload) && payload.equals(bytes), `${size} bytes`)
    t.strictSame(rest, [])
  }
  ada.send(Buffer.from('alone'))
  await bob.next((frame) => frame.type === 'message' && frame.binary === 5 && !('event' in frame))
  t.equal((await bob.nextBinary()).toString(), 'alone')
})

test('a publish needs data or an announced binary frame, and not both', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  t.equal(await refused(client, { type: 'publish' }), 'invalid_frame')
  client.send({ type: 'publish', data: 1, binary: 3, id: 'both' })
  client.send(Buffer.from('abc'))
  t.match(await client.next('error'), { code: 'invalid_frame', id: 'both' })
  client.send({ type: 'publish', room: 'no room', binary: 3, id: 'bad' })
  client.send(Buffer.from('abc'))
  t.match(await client.next('error'), { code: 'invalid_room', id: 'bad' })
  t.strictSame(roomsOf(await client.drain()), [], 'the payload of a refused one is not published by itself')
})

test('history is answered in pages, forwards and backwards, binary messages as base64', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  for (let i = 1; i <= 5; i++) await client.ask({ type: 'chat', text: `${i}` })
  client.send(Buffer.from([0, 255]))
  await client.nextBinary()
  const { epoch } = await client.join('lobby')
  const ask = async (query: object) => {
    const answer = await client.ask({ type: 'history', room: 'lobby', ...query })
    return { ...answer, offsets: (answer.messages as { offset: number }[]).map(({ offset }) => offset) }
  }
  t.match(await ask({}), {
    type: 'history', room: 'lobby', epoch, offset: 6, recovered: true, offsets: [1, 2, 3, 4, 5, 6], next: undefined
  })
  t.match(await ask({ limit: 2 }), { offsets: [5, 6], next: 5 }, 'the latest')
  t.match(await ask({ before: 5, limit: 2 }), { offsets: [3, 4], next: 3 }, 'those before')
  t.match(await ask({ before: 3, limit: 2 }), { offsets: [1, 2], next: undefined })
  t.match(await ask({ after: 1, limit: 2 }), { offsets: [2, 3], next: 3, recovered: true })
  t.match(await ask({ after: 3, before: 6 }), { offsets: [4, 5] })
  t.match(await ask({ after: 6 }), { offsets: [], recovered: true, next: undefined }, 'at the top nothing is missing')
  t.match(await ask({ after: 7 }), { offsets: [], recovered: false }, 'above the top')
  t.match(await ask({ after: 0, epoch: 'another' }), { offsets: [], recovered: false, epoch }, 'an epoch that is not the room\'s')
  const { messages } = await ask({ after: 5, epoch }) as unknown as { messages: object[] }
  t.match(messages, [{ type: 'message', room: 'lobby', offset: 6, from: 'ada', base64: 'AP8=' }])
  t.match(
    await client.ask({ type: 'history', room: 'never' }),
    { room: 'never', offset: 0, recovered: true, messages: [] },
    'a room need not be joined'
  )

  client.send({ type: 'history', room: 'lobby' })
  t.match(await client.next('error'), { code: 'invalid_frame' }, 'an id is required')
  for (const query of [
    { after: -1 }, { after: '1' }, { after: 1.5 }, { limit: 0 }, { limit: '9' }, { epoch: '' }, { epoch: 5 }, { before: null },
    { before: 2 ** 53 }
  ]) {
    t.equal(await refused(client, { type: 'history', room: 'lobby', ...query }), 'invalid_frame', JSON.stringify(query))
  }
})

test('without history no frame carries a position, and history says that nothing is recovered', async (t) => {
  const service = await startService(t, { HISTORY_SIZE: '0' })
  const client = await connect(service)
  t.strictSame(await client.ask({ type: 'join', room: 'lobby', id: 1 }), { type: 'joined', room: 'lobby', audience: 1, id: 1 })
  t.strictSame(await client.ask({ type: 'chat', text: 'hi', id: 2 }), { type: 'ack', room: 'lobby', id: 2 })
  t.notOk('offset' in await client.next('message'))
  t.strictSame(await client.ask({ type: 'history', room: 'lobby', id: 3 }), {
    type: 'history', room: 'lobby', recovered: false, messages: [], id: 3
  })
})

test('to join twice is to join once', async (t) => {
  const service = await startService(t)
  const [ada, bob] = [await connect(service), await connect(service, { token: makeToken({ sub: 'bob' }) })]
  await bob.join('lobby')
  t.match(await ada.join('lobby'), { audience: 2 })
  t.match(await ada.join('lobby'), { type: 'joined', audience: 2 })
  await bob.ask({ type: 'chat', text: 'once' })
  t.strictSame(roomsOf(await ada.drain()), ['lobby'])
  t.equal((await bob.drain()).filter((item) => !Buffer.isBuffer(item) && item.type === 'system').length, 1, 'the others hear of it once')
  await ada.ask({ type: 'leave', room: 'lobby' })
  t.match(await bob.join('lobby'), { audience: 1 }, 'one leave is enough')
})

test('welcome is the first frame for the subprotocol roomcast.v1, and only there', async (t) => {
  const service = await startService(t)
  const origin = 'a-tab-of-sixteen-or-more'
  const client = await connect(service, { protocols: ['roomcast.v1'], query: `origin=${origin}&room=a&room=b&room=a` })
  t.equal(client.ws.protocol, 'roomcast.v1')
  const [welcome, ...rest] = await client.drain() as Frame[]
  t.match(welcome, {
    type: 'welcome',
    origin,
    user: 'ada',
    heartbeatMs: 25_000,
    rooms: [{ room: '@user', offset: 0 }, { room: '@all', offset: 0 }]
  })
  t.strictSame(rest.map(({ type, room }) => [type, room]), [['joined', 'a'], ['joined', 'b']], 'then the rooms of the URL, each once')
  const plain = await connect(service)
  t.strictSame(await plain.drain(), [])
})

test('frames sent together with the upgrade request are handled, behind the rooms of the URL', async (t) => {
  const service = await startService(t)
  const early = Buffer.concat([
    jsonWire({ type: 'chat', text: 'early', id: 1 }),
    encodeWire({ opcode: OPCODE.binary, payload: 'early too' }),
    jsonWire({ type: 'ping', id: 2 })
  ])
  const raw = await RawSocket.open(service, { query: 'room=lobby', early })
  await raw.find(({ binary }) => binary === 9)
  const frames = raw.received.filter(({ opcode }) => opcode === OPCODE.text).map(({ payload }) => JSON.parse(payload.toString()) as Frame)
  t.equal(frames[0]?.type, 'joined')
  t.ok(frames.some(({ text }) => text === 'early'))
  raw.socket.destroy()
})
