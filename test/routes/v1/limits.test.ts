import { setTimeout as sleep } from 'node:timers/promises'
import { test, type Test } from 'tap'
import type { Requests } from '../../../src/callers/requests.ts'
import { isProblem, request, speak } from '../../support/http.ts'
import { call, type Service, startService } from '../../support/service.ts'
import { makeToken } from '../../support/token.ts'
import { until } from '../../support/until.ts'
import { connect } from '../../support/websocket-client.ts'

const ROOM = '/v1/rooms/lobby/messages'
const EVERYTHING = { rooms: { '**': ['*'], '@all': ['*'], '@user:*': ['*'] } }
const TOKEN = makeToken(EVERYTHING)
const MESSAGE = { body: { text: 'x' }, token: TOKEN }

function requestsOf ({ app }: Service): Requests {
  return (app.roomcast as unknown as { requests: Requests }).requests
}

/** The request that publishes, as it stands on the wire, with `bytes` fewer than it declares. */
function post (bytes = 0, token = TOKEN): string {
  const body = '{"text":"x"}'
  const headers = [`Authorization: Bearer ${token}`, 'Content-Type: application/json', `Content-Length: ${body.length}`]
  return request('POST', ROOM, headers, body.slice(0, body.length - bytes))
}

test('each route that publishes counts for the rate, and a refusal says when to retry', async (t) => {
  const batch = { messages: [{ room: 'lobby', text: 'one' }, { room: 'lobby', text: 'two' }] }
  const publishes: [string, unknown][] = [
    [ROOM, MESSAGE.body], ['/v1/users/ada/messages', MESSAGE.body], ['/v1/broadcast', MESSAGE.body], ['/v1/messages', batch]
  ]
  for (const [path, body] of publishes) {
    const service = await startService(t, { REST_RATE: '1', REST_BURST: '3' })
    const answers = await Promise.all(Array.from({ length: 20 }, async () => await call(service, 'POST', path, { body, token: TOKEN })))
    const admitted = answers.filter(({ status }) => status === 201)
    t.ok(admitted.length >= (path === '/v1/messages' ? 2 : 3) && admitted.length < 20, `${path}: ${admitted.length} of 20`)
    const refused = answers.filter(({ status }) => status !== 201)
    for (const answer of refused) isProblem(t, answer, 429, 'rate_limited')
    t.ok(refused.every(({ body }) => body.retryable === true && body.retryAfterMs > 0))
    t.equal((await call(service, 'GET', ROOM, { token: TOKEN })).status, 200, 'reading is not limited by it')
    t.equal((await call(service, 'POST', ROOM, { ...MESSAGE, token: makeToken({ ...EVERYTHING, sub: 'bob' }) })).status, 201)
  }
})

test('a batch is refused as a whole, with no message in a room; one beyond the burst is possible', async (t) => {
  const service = await startService(t, { REST_RATE: '1', REST_BURST: '3' })
  const messages = Array.from({ length: 100 }, (_, i) => ({ room: 'lobby', text: `${i}` }))
  const batch = async () => await call(service, 'POST', '/v1/messages', { body: { messages }, token: TOKEN })
  t.equal((await batch()).status, 201)
  const refused = await batch()
  isProblem(t, refused, 429, 'rate_limited')
  t.ok(refused.body.retryAfterMs > 60_000, 'its debt has to be paid first')
  t.match((await call(service, 'GET', '/v1/rooms/lobby', { token: TOKEN })).body, { offset: 100 })
})

test('the application, frames and a rate of 0 are not limited by REST_RATE', async (t) => {
  const service = await startService(t, { REST_RATE: '1', REST_BURST: '1' })
  const client = await connect(service, { query: 'room=lobby' })
  for (let i = 0; i < 10; i++) {
    await service.app.rooms.publish('lobby', { text: 'x' })
    await service.app.rooms.as({ user: 'ada', grants: EVERYTHING.rooms }).publish('lobby', { text: 'x' })
    t.match(await client.ask({ type: 'chat', text: 'x' }), { type: 'ack' })
  }
  const off = await startService(t, { REST_RATE: '0', REST_BURST: '1' })
  for (let i = 0; i < 20; i++) t.equal((await call(off, 'POST', ROOM, MESSAGE)).status, 201)
})

test('beyond its keys a caller gets 429 over every entry point, and a known key still replays', async (t) => {
  const service = await startService(t, { MAX_KEYS_PER_CALLER: '2' })
  const publish = async (key: string, token = TOKEN, path = ROOM) =>
    await call(service, 'POST', path, { body: { data: 1 }, token, headers: { 'idempotency-key': key } })
  const first = await publish('one')
  t.equal((await publish('two')).status, 201)
  const refused = await publish('three')
  isProblem(t, refused, 429, 'rate_limited')
  t.ok(refused.body.retryAfterMs > 200_000)
  const replayed = await publish('one')
  t.strictSame([replayed.status, replayed.headers.get('idempotent-replayed'), replayed.body], [201, 'true', first.body])

  const { status, body } = await call(service, 'POST', '/v1/messages', {
    body: { messages: ['one', 'four', undefined].map((key) => ({ room: 'lobby', data: 1, key })) }, token: TOKEN
  })
  t.match([status, body], [207, { results: [{ replayed: true }, { error: { code: 'rate_limited', status: 429 } }, { offset: 3 }] }])
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  t.match(await client.ask({ type: 'publish', data: 1, key: 'five' }), { type: 'error', code: 'rate_limited', retryable: true })
  t.match(await client.ask({ type: 'publish', data: 1, key: 'two' }), { type: 'ack', offset: 2 })
  await t.rejects(
    service.app.rooms.as({ user: 'ada', grants: EVERYTHING.rooms }).publish('lobby', { data: 1 }, { key: 'six' }),
    { code: 'rate_limited' }
  )
  t.equal((await publish('three', makeToken({ ...EVERYTHING, sub: 'bob' }))).status, 201, 'another caller has its own')
})

/** Opens requests whose bodies do not end, and waits until the service has read their heads. */
async function openRequests (t: Test, service: Service, count: number) {
  const open = await Promise.all(Array.from({ length: count }, async () => await speak(t, service, post(1), { count: 0 })))
  await until(() => requestsOf(service).of('ada') === count, 'the requests')
  return open
}

test('beyond its requests in progress a caller gets 429, until some of them are answered or break off', async (t) => {
  const service = await startService(t, { MAX_REQUESTS_PER_CALLER: '3' })
  const [first, second] = await openRequests(t, service, 3)
  const refused = await call(service, 'GET', '/v1/rooms', { token: TOKEN })
  isProblem(t, refused, 429, 'rate_limited')
  t.equal(refused.body.retryAfterMs, 1_000)
  t.equal((await call(service, 'GET', '/v1/rooms', { token: makeToken({ sub: 'bob' }) })).status, 200)
  t.match(await connect(service), {}, 'a connection is no request')

  first?.socket.write('}')
  await until(() => requestsOf(service).of('ada') === 2, 'an answer')
  t.equal((await call(service, 'GET', '/v1/rooms', { token: TOKEN })).status, 200)
  second?.socket.resetAndDestroy()
  await until(() => requestsOf(service).of('ada') === 1, 'a reset')
})

test('the requests in progress return to zero, however they end', async (t) => {
  const service = await startService(t, { MAX_REQUESTS_PER_CALLER: '1000', LOG_LEVEL: 'silent' })
  const none = async (how: string) => { await until(() => requestsOf(service).of('ada') === 0, how) }
  for (const path of ['/v1/rooms', '/v1/rooms/lobby', ROOM, '/v1/nowhere']) await call(service, 'GET', path, { token: TOKEN })
  await call(service, 'POST', ROOM, { token: TOKEN, body: '{' })
  await call(service, 'POST', ROOM, { token: TOKEN, body: Buffer.alloc(100_000) })
  await service.app.inject({ method: 'GET', url: '/v1/rooms', headers: { authorization: `Bearer ${TOKEN}` } })
  await none('answers and errors')
  for (const { socket } of await openRequests(t, service, 10)) socket.destroy()
  await none('broken bodies')
  // Responses behind one that is not read have no socket yet, and do not report its end.
  for (let i = 0; i < 10; i++) await service.app.rooms.publish('lobby', { text: 'x'.repeat(60_000) })
  const read = request('GET', ROOM, [`Authorization: Bearer ${TOKEN}`])
  const { socket: reader } = await speak(t, service, read.repeat(200), { count: 0 })
  reader.pause()
  await until(() => requestsOf(service).of('ada') > 50, 'responses that wait')
  await sleep(100)
  t.ok(requestsOf(service).of('ada') > 50)
  reader.destroy()
  await none('a reader that reads nothing')
})

test('event streams are connections, and no requests in progress', async (t) => {
  const service = await startService(t, { MAX_REQUESTS_PER_CALLER: '1' })
  const controller = new AbortController()
  t.teardown(() => { controller.abort() })
  for (let i = 0; i < 3; i++) {
    const headers = { authorization: `Bearer ${TOKEN}` }
    t.equal((await fetch(`${service.url}/v1/rooms/lobby/events`, { headers, signal: controller.signal })).status, 200)
  }
  t.equal((await call(service, 'GET', '/v1/rooms', { token: TOKEN })).status, 200)
})
