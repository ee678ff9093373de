import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import tap, { type Test, test } from 'tap'
import { CHROMIUM_ARGUMENTS, findChromium } from '../../support/debian.ts'
import { EventParser, type EventReader, openEvents, refusalOfEvents } from '../../support/event-stream.ts'
import { call, type Service, startService } from '../../support/service.ts'
import { makeToken } from '../../support/token.ts'
import { until } from '../../support/until.ts'
import { connect, type Frame, refusal } from '../../support/websocket-client.ts'
import { isProblem, request, speak } from '../../support/http.ts'

// Some mostly wait, so they wait together.
tap.jobs = 2

const run = promisify(execFile)
const LOBBY = '/v1/rooms/lobby/events'

/** What a connection may hold at most: its queue, and the batch or the page that was written when it was nearly full. */
const BOUND = 1024 * 1024 + 512 * 1024 + 128 * 1024

async function post (
  service: Service,
  room: string,
  body: unknown,
  token?: string
): Promise<{ epoch: string, offset: number, audience: number }> {
  const answer = await call(service, 'POST', `/v1/rooms/${room}/messages`, { body, ...(token !== undefined && { token }) })
  if (answer.status !== 201) throw new Error(`status ${answer.status}`)
  return answer.body
}

async function postMany (service: Service, room: string, texts: Iterable<unknown>): Promise<void> {
  for (const text of texts) await post(service, room, { text: String(text) })
}

function textsOf (reader: EventReader, room = 'lobby'): unknown[] {
  return reader.messages.filter((frame) => frame.room === room).map(({ text }) => text)
}

/** Resolves when the service has so many connections left. */
async function left ({ app }: Service, count = 0): Promise<void> {
  await until(() => app.roomcast.hub.connections.size === count, `${count} connections`)
}

/** The server's end of the streams to come. */
function watchResponses (service: Service): ServerResponse[] {
  const responses: ServerResponse[] = []
  service.app.server.on('request', (request, response) => { if (/events/.test(request.url ?? '')) responses.push(response) })
  return responses
}

test('the reader of these tests keeps to the standard', (t) => {
  const parser = new EventParser()
  const events = [
    '\u{feff}: hello\r', '\ndata:a\rdata: b\n', 'data:  c\n\r\nid: 1\nid: 2\nevent: x\ndata\n\n',
    'id\nretry: 12\n\ndata: é\n\ndata: not who', 'le'
  ].flatMap((text) => parser.push(Buffer.from(text)))
  t.strictSame(events, [
    { type: 'message', id: undefined, lastEventId: '', data: 'a\nb\n c' },
    { type: 'x', id: '2', lastEventId: '2', data: '' },
    { type: 'message', id: undefined, lastEventId: '', data: 'é' }
  ])
  t.strictSame([parser.comments, parser.retry], [1, 12])
  t.throws(() => parser.push(Buffer.from('\nfoo: bar\n')))
  t.end()
})

test('a stream of a room has what a member gets: messages without a name, everything else with one, and positions as ids', async (t) => {
  const service = await startService(t)
  const reader = await openEvents(service, LOBBY)
  t.match(reader.response.headers, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    connection: 'close'
  })
  const { frame: { epoch, ...joined }, id } = await reader.next('joined')
  t.strictSame(joined, { type: 'joined', room: 'lobby', offset: 0, audience: 1 })
  t.equal(id, `${String(epoch)}:0`)

  t.equal((await post(service, 'lobby', { text: 'line\nbreak\r\u2028"é' })).audience, 1, 'a stream is a connection of its room')
  await post(service, 'lobby', { event: 'e', data: { a: [null] } }, makeToken({ sub: 'bob' }))
  await call(service, 'POST', '/v1/rooms/lobby/messages?event=sketch', { body: Buffer.from([0, 10, 13, 255]) })
  const last = await reader.next(({ frame }) => frame.event === 'sketch')
  t.match(reader.messages, [
    { type: 'message', room: 'lobby', offset: 1, from: 'ada', text: 'line\nbreak\r\u2028"é' },
    { offset: 2, from: 'bob', event: 'e', data: { a: [null] } },
    { offset: 3, event: 'sketch', base64: Buffer.from([0, 10, 13, 255]).toString('base64') }
  ])
  t.strictSame(reader.events.slice(1).map(({ id }) => id), [1, 2, 3].map((offset) => `${String(epoch)}:${offset}`))
  t.equal(last.type, 'message')

  const bob = await connect(service, { token: makeToken({ sub: 'bob' }), query: 'room=lobby' })
  t.match(await bob.next('joined'), { audience: 2 })
  const notice = await reader.next('system')
  t.match(notice, { id: undefined, lastEventId: `${String(epoch)}:3`, frame: { event: 'joined', user: 'bob' } })
  t.match((await call(service, 'GET', '/v1/rooms')).body, { rooms: [{ room: 'lobby', audience: 2 }] })
  reader.close()
  t.match(await bob.next('system'), { event: 'left', user: 'ada' }, 'who closes it leaves the room')
})

test('a stream of several rooms has ids with a position for each, by name, each room once', async (t) => {
  const service = await startService(t, {
    ROOMS_FILE: `${t.testdir({ 'rooms.json': JSON.stringify([{ pattern: 'dots', history: false }]) })}/rooms.json`
  })
  const { epoch: a } = await post(service, 'a', { text: '1' })
  const { epoch: z } = await post(service, 'Z', { text: '1' })
  const reader = await openEvents(service, '/v1/events?room=dots&room=a&room=Z&room=a')
  const joined = [await reader.next('joined'), await reader.next('joined'), await reader.next('joined')]
  t.match(joined.map(({ id, frame: { room, offset } }) => [id, room, offset]), [
    [`${z}:1,0:0,0:0`, 'Z', 1],
    [`${z}:1,${a}:1,0:0`, 'a', 1],
    [`${z}:1,${a}:1,0:0`, 'dots', undefined]
  ])
  await post(service, 'dots', { text: 'x' })
  await reader.text('x')
  await post(service, 'a', { text: 'y' })
  await reader.text('y')
  await post(service, 'Z', { text: 'z' })
  await reader.text('z')
  t.strictSame(reader.events.slice(3).map(({ id }) => id), [`${z}:1,${a}:1,0:0`, `${z}:1,${a}:2,0:0`, `${z}:2,${a}:2,0:0`])
  t.equal((await post(service, 'a', { text: 'once' })).audience, 1)

  service.app.roomcast.hub.room('a')?.reset({ epoch: '7', offset: 5 }, 'epoch')
  t.match(await reader.next('reset'), { id: `${z}:2,7:5,0:0`, frame: { room: 'a', epoch: '7', offset: 5, reason: 'epoch' } })
  t.match(await reader.text('once'), { id: `${z}:2,${a}:3,0:0` }, 'before that')

  const alone = await openEvents(service, LOBBY)
  await alone.next('joined')
  service.app.roomcast.hub.room('lobby')?.reset({ epoch: '8', offset: 6 }, 'history')
  t.match(await alone.next('reset'), { id: '8:6', frame: { room: 'lobby', reason: 'history' } })
})

test('where there is no history there are no ids, and nothing to come back with', async (t) => {
  const service = await startService(t, { HISTORY_SIZE: '0' })
  const reader = await openEvents(service, LOBBY)
  const { frame } = await reader.next('joined')
  t.strictSame([frame.epoch, frame.offset], [undefined, undefined])
  await post(service, 'lobby', { text: 'a' })
  await reader.text('a')
  const late = await openEvents(service, `${LOBBY}?since=1:1`)
  t.match(await late.next('joined'), { frame: { recovered: false } })
  await post(service, 'lobby', { text: 'b' })
  await late.text('b')
  t.strictSame([...reader.events, ...late.events].map(({ id }) => id).filter((id) => id !== undefined), [])
  const two = await openEvents(service, '/v1/events?room=b&room=c')
  t.match([await two.next('joined'), await two.next('joined')], [{ id: '0:0,0:0' }, { id: '0:0,0:0' }])
})

test('welcome comes first, for who asks for it', async (t) => {
  const service = await startService(t)
  const reader = await openEvents(service, `${LOBBY}?protocol=roomcast.v1&origin=a-tab-of-sixteen-`)
  await reader.next('joined')
  const [welcome] = reader.events
  t.match(welcome, {
    id: undefined,
    frame: {
      type: 'welcome',
      origin: 'a-tab-of-sixteen-',
      user: 'ada',
      heartbeatMs: 25_000,
      rooms: [{ room: '@user', offset: 0 }, { room: '@all', offset: 0 }]
    }
  })
  t.ok(Number(welcome?.frame.expiresAt) > Date.now())
  const plain = await openEvents(service, LOBBY)
  await plain.next('joined')
  t.notOk(plain.events.some(({ type }) => type === 'welcome'))
  isProblem(t, await refusalOfEvents(service, `${LOBBY}?protocol=roomcast.v2`), 400, 'invalid_request')
})

test('a stream is in @user and @all: unasked without a place in the ids, and by alias with one', async (t) => {
  const service = await startService(t)
  const unasked = await openEvents(service, LOBBY)
  const asked = await openEvents(service, '/v1/events?room=@user&room=lobby&room=@all&protocol=roomcast.v1')
  const none = await openEvents(service, '/v1/events')
  const { id } = await unasked.next('joined')
  for (let i = 0; i < 3; i++) await asked.next('joined')
  t.match(await asked.next('welcome'), { frame: { rooms: [] } }, 'it has said it by joined')
  const all = (
    await call(service, 'POST', '/v1/broadcast', { body: { text: 'all' }, token: makeToken({ rooms: { '@all': ['publish'] } }) })
  ).body as { epoch: string, audience: number }
  t.equal(all.audience, 3)
  const own = (
    await call(service, 'POST', '/v1/users/ada/messages', {
      body: { text: 'you' },
      token: makeToken({ rooms: { '@user:*': ['publish'] } })
    })
  ).body as { epoch: string }
  for (const reader of [unasked, asked, none]) {
    t.match([await reader.text('all'), await reader.text('you')].map(({ frame }) => frame.room), ['@all', '@user'])
  }
  t.equal(unasked.lastEventId, id)
  t.equal(none.lastEventId, '')
  t.equal(asked.lastEventId, `${all.epoch}:1,${own.epoch}:1,${String(id)}`, 'in the order of the names')

  asked.close()
  await left(service, 2)
  await call(service, 'POST', '/v1/users/ada/messages', {
    body: { text: 'you again' },
    token: makeToken({ rooms: { '@user:*': ['publish'] } })
  })
  const back = await openEvents(service, '/v1/events?room=@user&room=lobby&room=@all', { headers: { 'last-event-id': asked.lastEventId } })
  t.match(await back.text('you again'), { id: `${all.epoch}:1,${own.epoch}:2,${String(id)}` })
  const joined = [await back.next('joined'), await back.next('joined'), await back.next('joined')]
  t.match(joined.map(({ frame }) => [frame.room, frame.recovered, frame.missed]), [
    ['@all', true, 0],
    ['@user', true, 1],
    ['lobby', true, 0]
  ])
  const other = await openEvents(service, '/v1/events?room=@user', { token: makeToken({ sub: 'bob' }) })
  t.match(await other.next('joined'), { frame: { room: '@user', offset: 0 } }, "everybody's own")

  const { epoch } = await post(service, 'lobby', { text: 'here' })
  await call(service, 'POST', '/v1/broadcast', { body: { text: 'all again' }, token: makeToken({ rooms: { '@all': ['publish'] } }) })
  await unasked.text('all again')
  t.equal(unasked.lastEventId, `${epoch}:1`, 'what is unasked does not put it back')
})

test('who comes back with an id gets what was missed, once and in order, wherever it was cut', async (t) => {
  const service = await startService(t)
  const { epoch } = await post(service, 'lobby', { text: '1' })
  await postMany(service, 'lobby', [2, 3, 4, 5, 6])
  const all = ['1', '2', '3', '4', '5', '6']
  for (let had = 0; had <= 6; had++) {
    const reader = await openEvents(service, LOBBY, { headers: { 'last-event-id': `${epoch}:${had}` } })
    t.match(
      await reader.next('joined'),
      { id: `${epoch}:${had}`, frame: { recovered: true, missed: 6 - had, offset: 6 } },
      `the id of joined is not past what is to follow, after ${had}`
    )
    await post(service, 'another', { text: 'x' })
    await reader.until(() => reader.messages.length === 6 - had)
    t.strictSame(textsOf(reader), all.slice(had))
    // Cut behind any event of it.
    for (const { id } of reader.events) {
      const again = await openEvents(service, LOBBY, { headers: { 'last-event-id': String(id) } })
      await again.next('joined')
      const offset = Number(id?.split(':')[1])
      await again.until(() => again.messages.length >= 6 - offset)
      t.strictSame(textsOf(again), all.slice(offset))
      again.close()
    }
    reader.close()
  }
  const since = await openEvents(service, `${LOBBY}?since=${epoch}:5`)
  await since.text('6')
  t.strictSame(textsOf(since), ['6'])
  const both = await openEvents(service, `${LOBBY}?since=${epoch}:0`, { headers: { 'last-event-id': `${epoch}:4` } })
  await both.text('6')
  t.strictSame(textsOf(both), ['5', '6'], 'the header wins over the URL')
  const empty = await openEvents(service, `${LOBBY}?since=${epoch}:4`, { headers: { 'last-event-id': '' } })
  await empty.text('6')
  t.strictSame(textsOf(empty), ['5', '6'], 'an empty header is none')
})

test('each room of a stream is resumed by itself', async (t) => {
  const service = await startService(t)
  const { epoch: a } = await post(service, 'a', { text: 'a1' })
  const { epoch: b } = await post(service, 'b', { text: 'b1' })
  await postMany(service, 'a', ['a2', 'a3'])
  await postMany(service, 'b', ['b2', 'b3'])
  const back = async (id: string) => await openEvents(service, '/v1/events?room=b&room=a', { headers: { 'last-event-id': id } })
  const reader = await back(`${a}:1,${b}:2`)
  await reader.text('b3')
  t.strictSame(reader.events.map(({ id, frame: { type, text, recovered, missed } }) => [id, text ?? [type, recovered, missed]]), [
    [`${a}:1,${b}:2`, ['joined', true, 2]],
    [`${a}:2,${b}:2`, 'a2'],
    [`${a}:3,${b}:2`, 'a3'],
    [`${a}:3,${b}:2`, ['joined', true, 1]],
    [`${a}:3,${b}:3`, 'b3']
  ])
  for (const { id } of reader.events) {
    const again = await back(String(id))
    await again.next(({ type, frame }) => type === 'joined' && frame.room === 'b')
    const [hadA, hadB] = String(id).split(',').map((position) => Number(position.split(':')[1])) as [number, number]
    await again.until(() => again.messages.length >= 6 - hadA - hadB)
    t.strictSame([textsOf(again, 'a'), textsOf(again, 'b')], [['a1', 'a2', 'a3'].slice(hadA), ['b1', 'b2', 'b3'].slice(hadB)], String(id))
    again.close()
  }
  const half = await back(`${a}:2,0:0`)
  t.match(
    [await half.next('joined'), await half.next('joined')].map(({ frame: { room, recovered }, id }) => [room, recovered, id]),
    [['a', true, `${a}:2,0:0`], ['b', false, `${a}:3,${b}:3`]],
    'one is recovered and one is not'
  )
  t.strictSame([textsOf(half, 'a'), textsOf(half, 'b')], [['a3'], []])
})

test('an id that does not belong to these rooms recovers nothing; a since that is none is refused', async (t) => {
  const service = await startService(t)
  const { epoch } = await post(service, 'lobby', { text: '1' })
  await post(service, 'lobby', { text: '2' })
  for (const id of [
    `${epoch}:1,${epoch}:1`, 'garbage', ':', '1:x', `${epoch}:-1`, `${epoch}:1.5`, `${epoch}:9999999999999999`, `${epoch}:3`, '42:1',
    `${epoch}:1,`, '[object Object]', 'é', '0:0', `${'9'.repeat(33)}:1`
  ]) {
    const reader = await openEvents(service, LOBBY, { headers: { 'last-event-id': id } })
    t.match(await reader.next('joined'), { id: `${epoch}:2`, frame: { recovered: false, missed: undefined } }, id)
    await call(service, 'POST', '/v1/broadcast', { body: { text: id }, token: makeToken({ rooms: { '@all': ['publish'] } }) })
    await reader.text(id)
    t.strictSame(textsOf(reader), [], `nothing of it, with ${id}`)
    reader.close()
  }
  for (const since of ['garbage', '', `${epoch}:-1`, `${epoch}:1,`, `${epoch}:1.5`, ',', '%00:1:']) {
    isProblem(t, await refusalOfEvents(service, `${LOBBY}?since=${since}`), 400, 'invalid_request', `since=${since}`)
  }
  isProblem(t, await refusalOfEvents(service, `${LOBBY}?since=1:1&since=1:1`), 400, 'invalid_request', 'two of them')
  const short = await openEvents(service, `/v1/events?room=lobby&room=b&since=${epoch}:1`)
  t.match([await short.next('joined'), await short.next('joined')].map(({ frame }) => frame.recovered), [false, false], 'too few positions')
})

test('a token may stand in the URL of a stream, and of nothing else', async (t) => {
  const service = await startService(t, { JWT_COOKIE: 'session', ALLOWED_ORIGINS: 'https://app.example.com' })
  const token = makeToken()
  for (const [path, options] of [
    [`${LOBBY}?token=${token}`, {}],
    [`/v1/events?room=lobby&token=${token}`, {}],
    [LOBBY, { headers: { authorization: `Bearer ${token}` } }],
    [LOBBY, { headers: { cookie: `session=${token}` } }],
    [LOBBY, { headers: { cookie: `session=${token}`, origin: 'https://app.example.com' } }]
  ] as const) {
    const reader = await openEvents(service, path, { token: '', ...options })
    t.equal((await reader.next('joined')).frame.room, 'lobby')
    reader.close()
  }
  for (const [path, options] of [
    [LOBBY, {}],
    [`${LOBBY}?token=`, {}],
    [`${LOBBY}?token=abc`, {}],
    [`${LOBBY}?token=${token}&token=${token}`, {}],
    [`${LOBBY}?token=${token}`, { token }],
    [`${LOBBY}?token=${makeToken({ exp: 1 })}`, {}]
  ] as const) isProblem(t, await refusalOfEvents(service, path, { token: '', ...options }), 401, 'unauthorized')
  isProblem(
    t, await refusalOfEvents(service, LOBBY, { token: '', headers: { cookie: `session=${token}`, origin: 'https://evil.example' } }),
    403, 'origin_forbidden'
  )
  for (const [method, path] of [
    ['GET', '/v1/rooms'],
    ['GET', '/v1/rooms/lobby'],
    ['GET', '/v1/rooms/lobby/messages'],
    ['POST', '/v1/rooms/lobby/messages'],
    ['DELETE', '/v1/rooms/lobby/messages']
  ] as const) {
    isProblem(
      t, await call(service, method, `${path}?token=${token}`, { token: '', ...(method === 'POST' && { body: { text: 'x' } }) }),
      401, 'unauthorized', `${method} ${path}`
    )
  }
  const { hub } = service.app.roomcast
  await left(service)
  t.equal(hub.roomCount, 0)
})

test('what may not be listened to is refused before the stream', async (t) => {
  const service = await startService(t, { MAX_ROOMS_PER_CONNECTION: '3' })
  const token = makeToken({ rooms: { 'a:*': ['join'], 'b:*': ['publish', 'history', 'members'] } })
  const path = (rooms: string[]) => `/v1/events?${rooms.map((room) => `room=${room}`).join('&')}`
  isProblem(t, await refusalOfEvents(service, '/v1/rooms/b:1/events', { token }), 403, 'forbidden')
  isProblem(t, await refusalOfEvents(service, path(['a:1', 'b:1']), { token }), 403, 'forbidden', 'one of them is enough')
  for (const room of ['@lobby', '@user:bob', '@user', 'a%20b', 'a%2Fb', 'x'.repeat(129)]) {
    isProblem(t, await refusalOfEvents(service, `/v1/rooms/${room}/events`), 400, 'invalid_room', room)
  }
  for (const room of ['@lobby', '@user:ada', '@server', '', 'a%20b', 'a,b', 'x'.repeat(129), '%E2%80%AE']) {
    isProblem(t, await refusalOfEvents(service, path(['a', room])), 400, 'invalid_room', room)
  }
  const many = Array.from({ length: 21 }, (_, i) => `r${i}`)
  isProblem(t, await refusalOfEvents(service, path(many)), 400, 'invalid_request', '21 rooms')
  isProblem(t, await refusalOfEvents(service, path(many.slice(0, 4))), 403, 'room_limit')
  isProblem(t, await refusalOfEvents(service, `${LOBBY}?origin=short`), 400, 'invalid_request', 'a bad origin')
  t.equal(service.app.roomcast.hub.roomCount, 0)
  const reader = await openEvents(service, path([...many.slice(0, 3), ...many.slice(0, 3), '@user', '@all']))
  for (let i = 0; i < 5; i++) await reader.next('joined')
  const free = await startService(t)
  const wide = await openEvents(free, path(many.slice(0, 20)), { token: makeToken({ rooms: { '*': ['join'] } }) })
  for (let i = 0; i < 20; i++) await wide.next('joined')
  t.equal(wide.lastEventId.split(',').length, 20)
  const back = await openEvents(free, path(many.slice(0, 20)), { headers: { 'last-event-id': wide.lastEventId } })
  for (let i = 0; i < 20; i++) t.match(await back.next('joined'), { frame: { recovered: true, missed: 0 } })
})

test('only pages of the allowed origins may listen, and those may read it', async (t) => {
  const service = await startService(t, { ALLOWED_ORIGINS: 'https://app.example.com, capacitor://localhost, https://*.example.org' })
  for (const origin of ['https://evil.example', 'null', 'https://app.example.com:8443', 'http://localhost', 'https://example.org']) {
    isProblem(t, await refusalOfEvents(service, LOBBY, { headers: { origin } }), 403, 'origin_forbidden', origin)
  }
  for (const origin of ['https://app.example.com', 'capacitor://localhost', 'https://a.b.example.org']) {
    const reader = await openEvents(service, LOBBY, { headers: { origin } })
    t.match(reader.response.headers, { 'access-control-allow-origin': origin, vary: /Origin/ })
    await reader.next('joined')
  }
  const preflight = await fetch(`${service.url}${LOBBY}`, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://app.example.com',
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'last-event-id'
    }
  })
  t.match(preflight.headers.get('access-control-allow-headers'), /Last-Event-ID/)
  const open = await startService(t)
  const anywhere = await openEvents(open, LOBBY, { headers: { origin: 'null' } })
  t.equal(anywhere.response.headers['access-control-allow-origin'], '*')
})

test('HEAD and other methods open no stream', async (t) => {
  const service = await startService(t)
  for (const path of [LOBBY, '/v1/events?room=lobby']) {
    for (const method of ['HEAD', 'POST', 'PUT']) {
      t.equal((await fetch(`${service.url}${path}`, { method, headers: { authorization: `Bearer ${makeToken()}` } })).status, 405, method)
    }
  }
  t.equal(service.app.roomcast.hub.connections.size, 0)
})

test('HTTP/1.0 gets a stream as well, and two streams do not share a connection', async (t) => {
  const service = await startService(t)
  const socket = connectTcp(service.port, '127.0.0.1')
  t.teardown(() => { socket.destroy() })
  let text = ''
  socket.on('data', (chunk) => { text += String(chunk) })
  socket.write(`GET ${LOBBY}?token=${makeToken()} HTTP/1.0\r\n\r\n`)
  await until(() => text.includes('"joined"'), 'joined')
  await post(service, 'lobby', { text: 'for old clients' })
  await until(() => text.includes('for old clients'), 'the message')
  const [head = '', body = ''] = text.split('\r\n\r\n')
  t.match(head, /^HTTP\/1\.1 200 OK\r\n/)
  t.notMatch(head, /chunked/i)
  t.equal(new EventParser().push(Buffer.from(body)).length, 2)
  socket.destroy()
  await left(service)

  // The second would wait for the end of the first, and nothing would tell when its client is gone.
  const once = request('GET', `${LOBBY}?token=${makeToken()}`)
  const { answers, socket: pipeline } = await speak(t, service, request('GET', '/health/live') + once + once, { count: 2 })
  t.equal(answers[0]?.status, 200)
  isProblem(t, answers[1], 400, 'invalid_request', 'in a pipeline')
  t.equal(service.app.roomcast.hub.connections.size, 0)
  pipeline.destroy()
  const two = connectTcp(service.port, '127.0.0.1')
  two.on('error', () => {}).write(once + once)
  await left(service, 1)
  await post(service, 'lobby', { text: 'x' })
  two.destroy()
  await left(service, 0)
  t.equal(service.app.roomcast.hub.roomCount, 0)
})

test('a node that is full refuses streams and sockets alike', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS: '2' })
  const reader = await openEvents(service, LOBBY)
  const client = await connect(service)
  const refused = await refusalOfEvents(service, LOBBY)
  isProblem(t, refused, 503, 'overloaded')
  isProblem(t, await refusal(service), 503, 'overloaded')
  t.equal(refused.headers['retry-after'], '5')
  await reader.next('joined')
  t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
  reader.close()
  await left(service, 1)
  await (await openEvents(service, LOBBY)).next('joined')
})

test('a user has no more streams and sockets than they may', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_USER: '2' })
  const reader = await openEvents(service, LOBBY)
  await connect(service)
  isProblem(t, await refusalOfEvents(service, LOBBY), 429, 'connection_limit')
  t.equal((await (await connect(service)).closed).code, 4509)
  await left(service, 2)
  await (await openEvents(service, LOBBY, { token: makeToken({ sub: 'bob' }) })).next('joined')
  reader.reset()
  await left(service, 2)
  await (await openEvents(service, LOBBY)).next('joined')
})

test('at the limit of a user, a stream replaces an older connection of the same client, and a WebSocket replaces a stream', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_USER: '1' })
  const path = `${LOBBY}?origin=origin-of-a-tab-1`
  const socket = await connect(service, { query: 'origin=origin-of-a-tab-1' })
  const first = await openEvents(service, path)
  await first.next('joined')
  t.equal((await socket.closed).code, 4503)
  const second = await openEvents(service, path)
  await second.next('joined')
  t.match(await first.next('close'), { frame: { code: 4503 } })
  isProblem(t, await refusalOfEvents(service, `${LOBBY}?origin=origin-of-a-tab-2`), 429, 'connection_limit')
  isProblem(t, await refusalOfEvents(service, LOBBY), 429, 'connection_limit')
  const last = await connect(service, { query: 'origin=origin-of-a-tab-1' })
  t.match(await second.next('close'), { frame: { code: 4503 } })
  t.match(await last.ask({ type: 'ping' }), { type: 'pong' })
  await left(service, 1)
})

test('an address has no more streams and sockets than it may', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_ADDRESS: '2', TRUST_PROXY: 'true' })
  const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })
  const reader = await openEvents(service, LOBBY, from('192.0.2.1'))
  const client = await connect(service, from('192.0.2.1'))
  for (let i = 0; i < 3; i++) isProblem(t, await refusalOfEvents(service, LOBBY, from('192.0.2.1')), 429, 'connection_limit')
  isProblem(t, await refusal(service, from('192.0.2.1')), 429, 'connection_limit', 'they count together')
  isProblem(t, await refusalOfEvents(service, LOBBY, from('[::ffff:192.0.2.1]:80')), 429, 'connection_limit', 'in every notation')
  await (await openEvents(service, LOBBY, from('192.0.2.2'))).next('joined')
  client.ws.close()
  await client.closed
  await left(service, 2)
  const second = await openEvents(service, LOBBY, from('192.0.2.1'))
  isProblem(t, await refusal(service, from('192.0.2.1')), 429, 'connection_limit')
  for (const gone of [reader, second]) gone.close()
  await left(service, 1)
  for (let i = 0; i < 2; i++) await (await openEvents(service, LOBBY, from('192.0.2.1'))).next('joined')
})

test('more new streams a minute from one address than allowed are told when to come back', async (t) => {
  const service = await startService(t, { UPGRADES_PER_MINUTE: '2', TRUST_PROXY: 'true' })
  const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })
  const first = await openEvents(service, LOBBY, from('192.0.2.1'))
  await openEvents(service, '/v1/events?room=lobby', from('192.0.2.1'))
  for (const path of [LOBBY, '/v1/events?room=lobby']) {
    isProblem(t, await refusalOfEvents(service, path, from('192.0.2.1')), 429, 'rate_limited', path)
  }
  isProblem(t, await refusal(service, from('192.0.2.1')), 429, 'rate_limited', 'they count together, and with sockets')
  await (await openEvents(service, LOBBY, from('192.0.2.2'))).next('joined')
  await first.next('joined')
  t.equal((await call(service, 'GET', '/v1/rooms', from('192.0.2.1'))).status, 200, 'the rest of REST is not limited by it')
})

test('a stream does not get what leaves out its origin', async (t) => {
  const service = await startService(t)
  const origin = 'the-tab-with-the-form'
  const reader = await openEvents(service, `${LOBBY}?origin=${origin}`)
  const other = await openEvents(service, LOBBY)
  const { id } = await reader.next('joined')
  await other.next('joined')
  const mine = await post(service, 'lobby', { text: 'mine', exclude: origin })
  await post(service, 'lobby', { text: 'theirs' })
  t.match(await reader.text('theirs'), { id: `${mine.epoch}:2` })
  await other.text('theirs')
  t.strictSame([textsOf(reader), textsOf(other)], [['theirs'], ['mine', 'theirs']])
  const back = await openEvents(service, `${LOBBY}?origin=${origin}`, { headers: { 'last-event-id': String(id) } })
  await back.text('theirs')
  t.match(await back.next('joined'), { frame: { recovered: true, missed: 1 } })
  t.strictSame(textsOf(back), ['theirs'], 'nor when it comes back')
})

test('an id moves past messages that exclude the stream, so that they are no loss when history has forgotten them', async (t) => {
  const service = await startService(t, { HISTORY_SIZE: '10' })
  const origin = 'the-tab-with-the-form'
  const exclude = async (room: string, count: number) => {
    const messages = Array.from({ length: count }, () => ({ room, text: 'mine', exclude: origin }))
    await call(service, 'POST', '/v1/messages', { body: { messages } })
  }
  const paths = [`${LOBBY}?origin=${origin}`, `/v1/events?room=lobby&room=b&origin=${origin}`]
  const readers = await Promise.all(paths.map(async (path) => await openEvents(service, path)))
  const { epoch } = await post(service, 'lobby', { text: 'theirs' })
  const [one, two] = readers as [EventReader, EventReader]
  await Promise.all(readers.map(async (reader) => await reader.text('theirs')))
  await exclude('lobby', 20)
  await exclude('b', 3)
  await one.until(() => one.lastEventId === `${epoch}:21`)
  await two.until(() => /^\d+:3,\d+:21$/.test(two.lastEventId))
  t.strictSame(readers.map((reader) => textsOf(reader)), [['theirs'], ['theirs']])
  for (const [i, reader] of readers.entries()) {
    reader.close()
    const back = await openEvents(service, String(paths[i]), { headers: { 'last-event-id': reader.lastEventId } })
    await back.until(() => back.events.length === i + 1)
    t.ok(back.events.every(({ frame }) => frame.recovered === true && frame.missed === 0))
    back.close()
  }

  await post(service, 'lobby', { text: 'missed' })
  await exclude('lobby', 2)
  const again = await openEvents(service, `${LOBBY}?origin=${origin}`, { headers: { 'last-event-id': one.lastEventId } })
  t.match(await again.text('missed'), { id: `${epoch}:22` })
  await again.until(() => again.lastEventId === `${epoch}:24`, 'also past the end of the missed messages')
})

test('an idle stream has comments for a heartbeat, and its reader need not answer', { buffered: true }, async (t) => {
  const service = await startService(t, { HEARTBEAT_SECONDS: '1' })
  const reader = await openEvents(service, LOBBY)
  const { hub } = service.app.roomcast
  // Longer than a socket that does not answer would stay.
  await until(() => hub.tick > 24, 'the sweeps')
  t.ok(reader.parser.comments >= 5)
  await post(service, 'lobby', { text: 'still here' })
  await reader.text('still here')
  const silent = await startService(t, { HEARTBEAT_SECONDS: '0' })
  const quiet = await openEvents(silent, LOBBY)
  await until(() => silent.app.roomcast.hub.tick > 4, 'some sweeps')
  t.equal(quiet.parser.comments, 0)
})

test('a stream ends with its token: the last event says so', { buffered: true }, async (t) => {
  const service = await startService(t, { MAX_TOKEN_LIFETIME_SECONDS: '1' })
  const reader = await openEvents(service, LOBBY)
  const { id } = await reader.next('joined')
  t.equal(await reader.ended, true, 'it is ended, not cut')
  t.match(reader.events.at(-1), {
    type: 'close',
    id: undefined,
    lastEventId: id,
    frame: { type: 'close', code: 4001, reason: 'Unauthorized' }
  })
  await left(service)
  t.equal(service.app.roomcast.hub.roomCount, 0)
})

test('a reader that does not read is ended in bounded memory, the others get everything, and it comes back', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const responses = watchResponses(service)
  const slow = await openEvents(service, LOBBY, { token: makeToken({ sub: 'slow' }) })
  await slow.next('joined')
  const [response] = responses
  const [other, many] = [await openEvents(service, LOBBY), await openEvents(service, '/v1/events?room=lobby&room=b')]
  const client = await connect(service, { query: 'room=lobby', token: makeToken({ sub: 'bob' }) })
  await client.next('joined')
  await many.next(({ frame }) => frame.room === 'b')
  slow.socket.pause()
  const token = makeToken({ sub: 'backend' })
  const text = 'x'.repeat(64_000)
  let peak = 0
  let total = 0
  while (response?.writableEnded === false && total < 1_000) {
    total = (await post(service, 'lobby', { text }, token)).offset
    peak = Math.max(peak, response?.writableLength ?? 0)
    await Promise.all([other, many].map(async (reader) => { await reader.until(() => reader.messages.length === total) }))
    await client.next('message')
  }
  t.ok(peak > 1024 * 1024 - 64_000 && peak <= BOUND, `at most ${peak} bytes waited for it`)
  t.match(await client.next(({ event }) => event === 'left'), { user: 'slow' })
  t.equal((await post(service, 'lobby', { text: 'end' }, token)).audience, 3, 'it is no member any more')
  slow.socket.resume()
  const whole = await slow.ended
  if (whole) t.match(slow.events.at(-1), { type: 'close', frame: { code: 4008, reason: 'Slow consumer' } })
  const offsets = slow.messages.map(({ offset }) => offset)
  t.strictSame(offsets, Array.from({ length: offsets.length }, (_, i) => i + 1), 'what it got is in order and without holes')

  const back = await openEvents(service, LOBBY, { headers: { 'last-event-id': slow.lastEventId }, token: makeToken({ sub: 'slow' }) })
  const { frame: { recovered } } = await back.next('joined')
  if (whole) t.equal(recovered, true, 'it took all that had been written, and so is not a page behind')
  if (recovered === true) {
    await back.text('end')
    t.strictSame(
      back.messages.map(({ offset }) => offset),
      Array.from({ length: total + 1 - offsets.length }, (_, i) => offsets.length + i + 1)
    )
  }
  for (const reader of [other, many]) {
    await reader.text('end')
    t.strictSame(reader.messages.map(({ offset }) => offset), Array.from({ length: total + 1 }, (_, i) => i + 1))
  }
})

test('a reader that never reads again is destroyed, and what waited for it is let go of', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const [slow] = [await openEvents(service, LOBBY)]
  await slow.next('joined')
  slow.socket.pause()
  const text = 'x'.repeat(64_000)
  await until(() => service.app.roomcast.hub.connections.size === 1)
  while ((await post(service, 'lobby', { text })).audience === 1);
  await left(service)
  t.equal(service.app.roomcast.hub.roomCount, 0)
})

test('readers that go in whatever way leave nothing behind', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const { hub } = service.app.roomcast
  const client = await connect(service, { query: 'room=lobby', token: makeToken({ sub: 'bob' }) })
  await client.next('joined')
  for (const [how, end] of Object.entries<(reader: EventReader) => unknown>({
    'a reset': (reader) => { reader.reset() },
    'a FIN': (reader) => reader.socket.end(),
    'a close': (reader) => { reader.close() }
  })) {
    const reader = await openEvents(service, LOBBY)
    await reader.next('joined')
    end(reader)
    t.match(await client.next(({ event }) => event === 'left'), { user: 'ada' }, how)
    t.equal((await post(service, 'lobby', { text: 'x' })).audience, 1, how)
    await left(service, 1)
  }
  client.ws.terminate()
  await left(service)

  const readers = await Promise.all(
    Array.from({ length: 500 }, async (_, i) => await openEvents(service, `/v1/events?room=lobby&room=r${i}`))
  )
  await Promise.all(readers.map(async (reader) => { await reader.next(({ frame }) => frame.room !== 'lobby') }))
  t.equal((await post(service, 'lobby', { text: 'x' })).audience, 500)
  for (const reader of readers) reader.reset()
  await left(service)
  t.equal(hub.roomCount, 0)
  t.match((await call(service, 'GET', '/v1/rooms/lobby')).body, { audience: 0 })
  t.match((await call(service, 'GET', '/v1/rooms')).body, { rooms: [] })

  // Gone before the answer has begun, or while rooms are being joined.
  await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const socket = connectTcp(service.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write(request('GET', `/v1/events?room=lobby&room=r${i}&token=${makeToken()}`))
    if (i % 2 === 0) await once(socket, 'data')
    socket.resetAndDestroy()
  }))
  t.equal((await call(service, 'GET', '/health/live')).status, 200)
  await left(service)
  await until(() => hub.roomCount === 0, 'no rooms')
})

test('who has gone while it was being let in has no connection', async (t) => {
  let enter = () => {}
  const gate = new Promise<void>((resolve) => { enter = resolve })
  let waiting = 0
  const service = await startService(t, { MAX_CONNECTIONS_PER_ADDRESS: '2' }, (app) => {
    app.addHook('preValidation', async (request) => {
      if (!request.url.includes('gate')) return
      waiting++
      await gate
    })
  })
  const gone = new Promise<void>((resolve) => {
    service.app.server.once('request', (request) => { request.socket.once('close', resolve) })
  })
  const socket = connectTcp(service.port, '127.0.0.1')
  socket.on('error', () => {}).write(request('GET', `${LOBBY}?gate&token=${makeToken()}`))
  await until(() => waiting === 1)
  socket.resetAndDestroy()
  await gone
  enter()
  for (let i = 0; i < 2; i++) await (await openEvents(service, `${LOBBY}?gate`)).next('joined')
  t.equal(service.app.roomcast.hub.connections.size, 2)
  t.equal((await post(service, 'lobby', { text: 'x' })).audience, 2)
})

test('going down, streams are told when to come back, and ended; new ones are refused', async (t) => {
  const service = await startService(t, { DRAIN_WINDOW_MS: '1000' })
  const readers = await Promise.all(
    [LOBBY, LOBBY, '/v1/events?room=a&room=b', '/v1/events'].map(async (path) => await openEvents(service, path))
  )
  await readers[0]?.next('joined')
  await readers[1]?.next('joined')
  const drained = service.app.roomcast.shutdown.drain()
  for (const reader of readers) {
    const { frame, id } = await reader.next('shutdown')
    t.equal(id, undefined)
    t.equal(reader.parser.retry, frame.retryAfterMs)
    t.ok(Number(frame.retryAfterMs) >= 500)
  }
  isProblem(t, await refusalOfEvents(service, LOBBY), 503, 'draining')
  for (const reader of readers) {
    t.equal(await reader.ended, true)
    t.match(reader.events.at(-1), { type: 'close', frame: { code: 1001, reason: 'Server going down' } })
  }
  await drained
  t.equal(service.app.roomcast.hub.connections.size, 0)
  t.equal(service.app.roomcast.hub.roomCount, 0)
})

test('close() alone ends streams, also one that does not read', async (t) => {
  const service = await startService(t)
  const responses = watchResponses(service)
  const reader = await openEvents(service, LOBBY)
  const mute = await openEvents(service, LOBBY)
  await Promise.all([reader, mute].map(async (each) => { await each.next('joined') }))
  mute.socket.pause()
  const text = 'x'.repeat(64_000)
  while (responses[1]?.writableLength === 0) await post(service, 'lobby', { text })
  await service.app.close()
  t.equal(await reader.ended, true)
  t.match(reader.events.slice(-2).map(({ type }) => type), ['shutdown', 'close'])
  await left(service) // The server may be closed a moment before the last socket says so.
})

test('no log line has a token of a stream', async (t) => {
  const service = await startService(t)
  const token = makeToken()
  const reader = await openEvents(service, `/v1/events?token=${token}&room=lobby`, { token: '' })
  await reader.next('joined')
  await refusalOfEvents(service, `${LOBBY}?since=x&token=${token}`, { token: '' })
  await refusalOfEvents(service, `/v1/rooms/%20/events?token=${token}`, { token: '' })
  await fetch(`${service.url}${LOBBY}?token=${token}`, { method: 'HEAD' })
  reader.close()
  await left(service)
  await until(() => service.log.filter((line) => line.includes('/events')).length >= 4)
  t.notMatch(service.log.join(''), token.split('.')[2])
  t.notOk(service.log.some((line) => (JSON.parse(line) as { level: number }).level >= 50), 'and nothing went wrong')
})

test('streams and a socket see the same messages in the same order, whatever is published at once and whenever they are cut', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent', MESSAGE_RATE: '0' })
  const socket = await connect(service, { query: 'room=lobby' })
  const { epoch } = await socket.next('joined')
  const seen: Frame[] = []
  socket.ws.on('message', (data: Buffer, isBinary: boolean) => {
    const last = seen.at(-1)
    if (isBinary) {
      if (last === undefined) throw new Error('bytes without a header')
      delete last.binary
      last.base64 = data.toString('base64')
      return
    }
    const frame = JSON.parse(data.toString()) as Frame
    if (frame.type === 'message') seen.push(frame)
  })
  const [alone, several] = [await openEvents(service, LOBBY), await openEvents(service, '/v1/events?room=lobby&room=other')]
  await Promise.all([alone.next('joined'), several.next(({ frame }) => frame.room === 'other')])

  const total = 600
  let published = 0
  const publish = async (n: number): Promise<void> => {
    while (published < total) {
      const i = published++
      const body = i % 5 === 0 ? Buffer.alloc(i % 50, i) : i % 3 === 0 ? { data: { i, text: 'é\n'.repeat(i % 7) } } : { text: `${n}-${i}` }
      await call(service, 'POST', '/v1/rooms/lobby/messages', { body })
      if (i % 4 === 0) socket.send({ type: 'chat', room: 'lobby', text: `chat ${i}` })
      if (i % 6 === 0) await post(service, 'other', { text: String(i) })
    }
  }
  // They come and go all the time, and go on with what they had.
  const wander = async (path: string, seed: number): Promise<Frame[]> => {
    const had: Frame[] = []
    let last = path.includes('other') ? '' : `${String(epoch)}:0`
    for (let visit = 0; ; visit++) {
      const reader = await openEvents(service, path, { headers: { 'last-event-id': last } })
      if (visit > 0 || last !== '') {
        for (let rooms = path.includes('other') ? 2 : 1; rooms > 0; rooms--) {
          t.match(await reader.next('joined'), { frame: { recovered: true } })
        }
      }
      const enough = 1 + (seed * 7 + visit * 13) % 40
      await reader.until(
        () => reader.events.length > enough || (published >= total && had.length + textsOf(reader).length >= total + total / 4)
      )
      reader.close()
      last = reader.lastEventId
      had.push(...reader.messages.filter(({ room }) => room === 'lobby'))
      if (had.length >= total + total / 4) return had
    }
  }
  const { epoch: otherEpoch } = await post(service, 'other', { text: 'first' })
  const [one, two, three] = await Promise.all([
    wander(LOBBY, 1),
    wander(LOBBY, 2),
    wander(`/v1/events?room=lobby&room=other&since=${String(epoch)}:0,${otherEpoch}:0`, 3),
    ...[1, 2, 3, 4].map(publish)
  ]) as [Frame[], Frame[], Frame[]]
  const all = total + total / 4
  await until(() => seen.length === all && seen.every((frame) => frame.binary === undefined), 'the socket')
  t.strictSame(seen.map(({ offset }) => offset), Array.from({ length: all }, (_, i) => i + 1))
  for (const reader of [alone, several]) {
    await reader.until(() => reader.messages.filter(({ room }) => room === 'lobby').length === all)
    t.strictSame(reader.messages.filter(({ room }) => room === 'lobby'), seen)
  }
  for (const frames of [one, two, three]) t.strictSame(frames, seen)
})

test('curl -N prints a room', async (t) => {
  const service = await startService(t)
  const child = spawn('curl', ['-sN', '-H', `Authorization: Bearer ${makeToken()}`, `${service.url}${LOBBY}`], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  t.teardown(() => { child.kill('SIGKILL') })
  let text = ''
  child.stdout.on('data', (chunk) => { text += String(chunk) })
  await until(() => text.includes('event: joined\n'), 'joined')
  const { epoch } = await post(service, 'lobby', { text: 'hi' })
  await until(() => text.endsWith('"text":"hi"}\n\n'), 'the message')
  t.ok(text.includes(`\n\nid: ${epoch}:1\ndata: {"type":"message"`))
  const { stdout } = await run('curl', ['-s', '--head', '-H', `Authorization: Bearer ${makeToken()}`, `${service.url}${LOBBY}`])
  t.match(stdout, /^HTTP\/1\.1 405/)
})

/** A page of another origin than the service. */
async function servePage (t: Test): Promise<string> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html>')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test("a browser's EventSource comes back with an id that came alone", async (t) => {
  const executablePath = findChromium(t)
  if (executablePath === undefined) return
  const ids: unknown[] = []
  const service = await startService(t, {}, (app) => {
    app.addHook('onRequest', async ({ headers, url }) => { if (url.startsWith(LOBBY)) ids.push(headers['last-event-id']) })
  })
  const browser = await chromium.launch({ executablePath, args: CHROMIUM_ARGUMENTS })
  t.teardown(async () => { await browser.close() })
  const page = await browser.newPage()
  await page.goto(await servePage(t))
  await page.evaluate(`
    window.joins = 0
    const source = new EventSource('${service.url}${LOBBY}?origin=the-tab-with-the-form&token=${makeToken()}')
    source.addEventListener('joined', () => { joins++ })
    source.onmessage = () => { joins = -10 }
  `)
  await page.waitForFunction('joins === 1')
  const { epoch } = await post(service, 'lobby', { text: 'mine', exclude: 'the-tab-with-the-form' })
  const [connection] = service.app.roomcast.hub.connections
  connection?.close('overloaded')
  await page.waitForFunction('joins === 2')
  t.strictSame(ids, [undefined, `${epoch}:1`])
})

test("a browser's EventSource listens, comes back by itself and has everything once", async (t) => {
  const executablePath = findChromium(t)
  if (executablePath === undefined) return
  const service = await startService(t)
  const browser = await chromium.launch({ executablePath, args: CHROMIUM_ARGUMENTS })
  t.teardown(async () => { await browser.close() })
  const page = await browser.newPage()
  await page.goto(await servePage(t))
  await page.evaluate(`
    window.seen = []
    const source = new EventSource('${service.url}/v1/events?room=lobby&room=b&token=${makeToken()}')
    source.onmessage = ({ data, lastEventId }) => seen.push([JSON.parse(data).text, lastEventId])
    for (const type of ['joined', 'shutdown', 'close']) source.addEventListener(type, ({ data }) => seen.push(JSON.parse(data)))
  `)
  const seen = async () => await page.evaluate('seen') as (Frame | [string, string])[]
  await page.waitForFunction('seen.length === 2')
  await post(service, 'lobby', { text: 'a' })
  await page.waitForFunction('seen.length === 3')
  const [connection] = service.app.roomcast.hub.connections
  connection?.close('overloaded')
  await left(service)
  await post(service, 'lobby', { text: 'b' })
  await post(service, 'b', { text: 'c' })
  await page.waitForFunction('seen.length === 8')
  await post(service, 'lobby', { text: 'd' })
  await page.waitForFunction('seen.length === 9')
  const events = await seen()
  const lastEventId = (events[2] as [string, string])[1]
  t.match(lastEventId, /^\d+:0,\d+:1$/)
  t.match(events.map((event) => Array.isArray(event) ? event[0] : event), [
    { room: 'b' }, { room: 'lobby' }, 'a', { code: 1013 },
    { room: 'b', recovered: true, missed: 1 }, 'c', { room: 'lobby', recovered: true, missed: 1 }, 'b', 'd'
  ])

  const states = await page.evaluate(`new Promise((resolve) => {
    const source = new EventSource('${service.url}${LOBBY}?token=bad')
    source.onerror = () => resolve(source.readyState)
  })`)
  t.equal(states, 2, 'who is refused does not come back by itself')
})
