import { IncomingMessage, type IncomingHttpHeaders } from 'node:http'
import { Socket } from 'node:net'
import { test } from 'tap'
import { type Handshake, InvalidHandshake, narrowOffer, type Query, readHandshake } from '../../src/connections/handshake.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ROOM_RULE = /Room names are 1–128/
const ONE_ROOM = { code: 'invalid_request', message: 'since goes with exactly one room' }
const SINCE_FORM = { code: 'invalid_request', message: 'since has to be <epoch>:<offset>' }

/** A request with a valid key and version, unless the headers say otherwise. */
function makeRequest (headers: IncomingHttpHeaders = {}): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  request.headers = { 'sec-websocket-version': '13', 'sec-websocket-key': KEY, ...headers }
  return request
}

function read (headers: IncomingHttpHeaders = {}, query: Query = {}): Handshake {
  return readHandshake(makeRequest(headers), query)
}

function offer (header: string): Handshake {
  return read({ 'sec-websocket-protocol': header })
}

test('a handshake with a key and a version alone offers nothing and names no room', async (t) => {
  t.strictSame(read(), { protocols: [], token: undefined, rooms: [], since: undefined, origin: undefined })
})

test('a handshake has the protocols, the token, the room, the position and the origin of its request', async (t) => {
  const query = { token: 'abc', room: 'lobby', since: 'e:7', origin: 'tab-0123456789abcdef' }
  t.strictSame(read({ 'sec-websocket-protocol': 'roomcast.v1, bearer.x.y.z' }, query), {
    protocols: ['roomcast.v1', 'bearer.x.y.z'],
    token: 'abc',
    rooms: ['lobby'],
    since: { epoch: 'e', offset: 7 },
    origin: 'tab-0123456789abcdef'
  })
  t.strictSame(read({}, { token: ['a', 'b'] }).token, ['a', 'b'], 'the authentication refuses several tokens')
  t.equal(read({}, { token: '' }).token, '')
})

test('a key is 16 bytes in base64, and every other key is refused', async (t) => {
  for (const key of [KEY, 'AAAAAAAAAAAAAAAAAAAAAA==', '+/+/+/+/+/+/+/+/+/+/+/==']) read({ 'sec-websocket-key': key })
  for (const key of [
    undefined, '', '==', 'dGhlIHNhbXBsZSBub25jZQ', 'dGhlIHNhbXBsZSBub25jZQ=', `${KEY}=`, `A${KEY}`, ` ${KEY}`, `${KEY}\n`, `${KEY} `,
    'dGhlIHNhbXBsZSBub25jZ-==', 'dGhlIHNhbXBsZSBub25j_Q==', 'dGhlIHNhbXBsZSBub25jé==', `${KEY}, ${KEY}`, '='.repeat(24)
  ]) {
    t.throws(() => read({ 'sec-websocket-key': key }), {
      code: 'invalid_request', message: 'Missing or invalid Sec-WebSocket-Key header'
    }, String(key))
  }
})

test('a version is 13 or 8, and every other version is refused', async (t) => {
  for (const version of ['13', '8']) read({ 'sec-websocket-version': version })
  for (const version of [undefined, '', '0', '7', '9', '12', '14', '013', '13.0', ' 13', '13, 13', '13, 8', '8, 13', 'thirteen']) {
    t.throws(() => read({ 'sec-websocket-version': version }), {
      code: 'invalid_request', message: 'Missing or invalid Sec-WebSocket-Version header'
    }, String(version))
  }
})

test('protocols keep their order and lose the space around them', async (t) => {
  t.strictSame(offer('chat,roomcast.v1').protocols, ['chat', 'roomcast.v1'])
  t.strictSame(offer('  roomcast.v1 \t,\tbearer.a-b_c ').protocols, ['roomcast.v1', 'bearer.a-b_c'])
  t.strictSame(offer("!#$%&'*+.^_`|~-09AZaz").protocols, ["!#$%&'*+.^_`|~-09AZaz"], 'all characters of a token')
  t.strictSame(offer('chat, Chat, CHAT').protocols, ['chat', 'Chat', 'CHAT'], 'names differ by their case')
  t.strictSame(offer('roomcast.v1, bearer.').protocols, ['roomcast.v1', 'bearer.'], 'the authentication refuses an empty token')
})

test('empty protocols, repeated ones and those that are no tokens are refused', async (t) => {
  for (const header of [
    '', ' ', ',', ', ', 'roomcast.v1,', ',roomcast.v1', 'roomcast.v1,,chat', 'roomcast.v1, ,chat',
    'chat,chat', 'roomcast.v1, chat, roomcast.v1', 'roomcast.v1, bearer.a, bearer.a',
    'room cast', 'roomcast.v1; q=1', '"roomcast.v1"', 'a/b', 'a:b', 'a@b', 'a=b', '(a)', 'ü', 'roomcast.v1, bearer.a=', 'a\u0000'
  ]) {
    t.throws(() => offer(header), { code: 'invalid_request', message: 'Invalid Sec-WebSocket-Protocol header' }, JSON.stringify(header))
  }
})

test('a token is refused as the only protocol, and accepted beside another one', async (t) => {
  for (const header of ['bearer.a', 'bearer.', 'bearer.a, bearer.b']) {
    t.throws(() => offer(header), { code: 'invalid_request', message: /^Offer the subprotocol roomcast\.v1 beside the token/ }, header)
  }
  for (const header of ['bearer.a, roomcast.v1', 'chat, bearer.a', 'bearer', 'Bearer.a', 'bearer-a']) offer(header)
})

test('a request that is no handshake is an InvalidHandshake, and other refusals are not', async (t) => {
  const refusals: [boolean, IncomingHttpHeaders, Query][] = [
    [true, { 'sec-websocket-key': 'x' }, {}],
    [true, { 'sec-websocket-version': '12' }, {}],
    [true, { 'sec-websocket-protocol': ',' }, {}],
    [false, { 'sec-websocket-protocol': 'bearer.a' }, {}],
    [false, {}, { room: '' }],
    [false, {}, { origin: 'short' }],
    [false, {}, { since: 'e:1' }],
    [false, {}, { room: 'lobby', since: 'x' }]
  ]
  for (const [isInvalid, headers, query] of refusals) {
    const error = t.throws(() => read(headers, query), { name: 'RoomcastError' })
    t.equal(error instanceof InvalidHandshake, isInvalid, JSON.stringify([headers, query]))
  }
})

test('the headers are refused before the parameters of the URL, and the key before the version and the protocols', async (t) => {
  const bad: IncomingHttpHeaders = { 'sec-websocket-key': 'x', 'sec-websocket-version': 'x', 'sec-websocket-protocol': ',' }
  const query = { room: '', since: '' }
  t.throws(() => read(bad, query), { message: /Key/ })
  t.throws(() => read({ ...bad, 'sec-websocket-key': KEY }, query), { message: /Version/ })
  t.throws(() => read({ 'sec-websocket-protocol': ',' }, query), { message: /Protocol/ })
  t.throws(() => read({}, query), { code: 'invalid_room', message: ROOM_RULE })
})

test('rooms are joined once each, in the order of their first mention', async (t) => {
  t.strictSame(read({}, { room: 'lobby' }).rooms, ['lobby'])
  t.strictSame(read({}, { room: [] }).rooms, [])
  t.strictSame(read({}, { room: ['b', 'a', 'b', 'c', 'a'] }).rooms, ['b', 'a', 'c'])
  t.strictSame(read({}, { room: ['Lobby', 'lobby'] }).rooms, ['Lobby', 'lobby'])
  t.strictSame(read({}, { room: '__proto__' }).rooms, ['__proto__'])
})

test('one wrong name of a room refuses the request', async (t) => {
  for (const room of ['', ' ', 'a b', '@all', '@user', '@user:ada', 'a/b', 'ü', 'lobby\n', 'x'.repeat(129)]) {
    t.throws(() => read({}, { room }), { code: 'invalid_room', message: ROOM_RULE }, JSON.stringify(room))
    t.throws(() => read({}, { room: ['lobby', room] }), { code: 'invalid_room', message: ROOM_RULE }, JSON.stringify(room))
  }
  read({}, { room: ['x'.repeat(128), 'user@example.com', 'a:b=c|d+e~f-g_h.i'] })
})

test('a position goes with exactly one room', async (t) => {
  const since = 'e:1'
  t.throws(() => read({}, { since }), ONE_ROOM)
  t.throws(() => read({}, { since, room: [] }), ONE_ROOM)
  t.throws(() => read({}, { since, room: ['a', 'b'] }), ONE_ROOM)
  t.throws(() => read({}, { since: 'x' }), ONE_ROOM, 'the room is missing in any case')
  t.throws(() => read({}, { since: '' }), ONE_ROOM, 'an empty position is one too')
  t.strictSame(read({}, { since, room: ['a', 'a'] }).since, { epoch: 'e', offset: 1 }, 'a repeated room is one room')
})

test('a position is an epoch and an offset, once', async (t) => {
  const positions: [string, string, number][] = [
    ['e:0', 'e', 0], ['a:b:12', 'a:b', 12], [`${'x'.repeat(32)}:1`, 'x'.repeat(32), 1],
    [`e:${Number.MAX_SAFE_INTEGER}`, 'e', Number.MAX_SAFE_INTEGER]
  ]
  for (const [since, epoch, offset] of positions) t.strictSame(read({}, { room: 'lobby', since }).since, { epoch, offset })
  for (const since of [
    '', 'e', '1', ':1', 'e:', 'e:-1', 'e:+1', 'e:1.5', 'e:1e3', 'e:0x1', 'e: 1', 'e:1 ', 'e:1\n', 'e:١',
    `${'x'.repeat(33)}:1`, `e:${Number.MAX_SAFE_INTEGER + 1}`, `e:${'0'.repeat(16)}1`, ['e:1'], ['e:1', 'e:1'], []
  ]) {
    t.throws(() => read({}, { room: 'lobby', since }), SINCE_FORM, JSON.stringify(since))
  }
})

test('an origin is 16–64 characters of a name, once', async (t) => {
  for (const origin of ['0123456789abcdef', 'A-Z_a-z_0-9_abcdef', 'x'.repeat(64)]) t.equal(read({}, { origin }).origin, origin)
  for (const origin of [
    '', 'x'.repeat(15), 'x'.repeat(65), 'https://app.example.com', '0123456789abcde\n', '0123456789abcdef ', '0123456789äbcdef',
    ['0123456789abcdef'], ['0123456789abcdef', '0123456789abcdef']
  ]) {
    t.throws(() => read({}, { origin }), { code: 'invalid_request', message: /^The origin has to be 16–64/ }, JSON.stringify(origin))
  }
})

test('a narrowed offer has the protocol of the service alone, and no token', async (t) => {
  const request = makeRequest({
    'sec-websocket-protocol': 'bearer.secret, chat, roomcast.v1', 'sec-websocket-extensions': 'permessage-deflate', host: 'x'
  })
  const handshake = readHandshake(request, {})
  narrowOffer(request, handshake)
  t.strictSame(request.headers, {
    'sec-websocket-version': '13', 'sec-websocket-key': KEY, 'sec-websocket-protocol': 'roomcast.v1', host: 'x'
  })
  t.strictSame(handshake.protocols, ['bearer.secret', 'chat', 'roomcast.v1'], 'the handshake keeps the token')
})

test('an offer without the protocol of the service is narrowed to none', async (t) => {
  for (const header of ['chat', 'chat, bearer.secret', 'Roomcast.v1', 'roomcast.v1.1', undefined]) {
    const request = makeRequest(header === undefined ? {} : { 'sec-websocket-protocol': header })
    narrowOffer(request, readHandshake(request, {}))
    t.strictSame(request.headers, { 'sec-websocket-version': '13', 'sec-websocket-key': KEY }, String(header))
  }
})
