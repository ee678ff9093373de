import { test } from 'tap'
import { InvalidPattern } from '../../src/protocol/room-pattern.ts'
import { RoomPolicies } from '../../src/rooms/policies.ts'
import { readPolicies } from '../../src/rooms/read-policies.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { type Client, connect, type Frame } from '../support/websocket-client.ts'

const HISTORY = { size: 1_000, ttlSeconds: 3_600 }

test('the first rule whose pattern matches says how a room is kept, and the defaults say the rest', (t) => {
  const policies = new RoomPolicies(HISTORY, [
    { pattern: 'chat:*', history: { size: 5 } },
    { pattern: 'chat:**', history: { ttlSeconds: 60 }, presence: false },
    { pattern: 'prices:**', history: false, publish: 'server' },
    { pattern: 'none', history: { size: 0 } },
    { pattern: '@user:*', history: { size: 10, ttlSeconds: 10 } },
    { pattern: '**', history: { size: 7, ttlSeconds: 7 } }
  ])
  const clients = 'clients'
  t.strictSame(policies.of('chat:a'), { history: { size: 5, ttlSeconds: 3_600 }, presence: true, publish: clients })
  t.strictSame(policies.of('chat:a:b'), { history: { size: 1_000, ttlSeconds: 60 }, presence: false, publish: clients })
  t.strictSame(policies.of('prices:eur:usd'), { history: undefined, presence: true, publish: 'server' })
  t.equal(policies.of('none').history, undefined)
  t.strictSame(policies.of('@user:ada:b').history, { size: 10, ttlSeconds: 10 })
  t.strictSame(policies.of('@all').history, HISTORY, 'names that start with @ match only patterns that do')
  t.strictSame(policies.of('anything').history, { size: 7, ttlSeconds: 7 })
  t.strictSame(new RoomPolicies(HISTORY).of('chat:a'), { history: HISTORY, presence: true, publish: clients })
  t.equal(new RoomPolicies({ size: 5, ttlSeconds: 0 }).of('chat:a').history, undefined)
  for (const pattern of ['chat*', '**:a', 'user:{sub}']) t.throws(() => new RoomPolicies(HISTORY, [{ pattern }]), InvalidPattern)
  t.end()
})

/** A service with rules for its rooms, and what of them a test looks at. */
async function start (t: Parameters<typeof startService>[0], rules: unknown): Promise<Service> {
  return await startService(t, { ROOMS_FILE: `${t.testdir({ 'rooms.json': JSON.stringify(rules) })}/rooms.json` })
}

async function textsIn (client: Client): Promise<unknown[]> {
  return (await client.drain()).map((frame) => (frame as Frame).text)
}

test('a room without history has no position anywhere, and what was missed there is not recovered', async (t) => {
  const service = await start(t, [{ pattern: 'live:**', history: false }, { pattern: 'short', history: { size: 2 } }])
  const client = await connect(service)
  const joined = await client.join('live:a')
  t.notOk('epoch' in joined || 'offset' in joined)
  const { body } = await call(service, 'POST', '/v1/rooms/live:a/messages', { body: { text: 'x' } })
  t.strictSame(Object.keys(body).sort(), ['audience', 'room', 'time'])
  const message = await client.next('message')
  t.notOk('offset' in message)
  t.strictSame((await call(service, 'GET', '/v1/rooms/live:a/messages')).body, { room: 'live:a', recovered: false, messages: [] })
  t.strictSame((await call(service, 'GET', '/v1/rooms/live:a')).body, { room: 'live:a', audience: 1 })
  t.match(await client.ask({ type: 'join', room: 'live:a', since: { epoch: '1', offset: 1 } }), { recovered: false })
  for (const text of ['1', '2', '3']) await call(service, 'POST', '/v1/rooms/short/messages', { body: { text } })
  t.strictSame((await call(service, 'GET', '/v1/rooms/short/messages')).body.messages.map(({ text }: Frame) => text), ['2', '3'])
  t.match((await call(service, 'POST', '/v1/rooms/other/messages', { body: { text: 'x' } })).body, { offset: 1 })
})

test('where only the server publishes, connections are refused, and REST and the application are not', async (t) => {
  const service = await start(t, [{ pattern: 'news', publish: 'server' }])
  const client = await connect(service, { query: 'room=news&room=other' })
  for (const frame of [{ type: 'chat', text: 'x' }, { type: 'publish', data: 1 }]) {
    t.match(await client.ask({ ...frame, room: 'news' }), { type: 'error', code: 'forbidden', retryable: false })
  }
  t.match(await client.ask({ type: 'chat', room: 'other', text: 'x' }), { type: 'ack' })
  t.match(await call(service, 'POST', '/v1/rooms/news/messages', { body: { text: 'a' } }), { status: 201, body: { offset: 1 } })
  await service.app.rooms.publish('news', { text: 'b' })
  t.strictSame((await textsIn(client)).filter((text) => text === 'a' || text === 'b'), ['a', 'b'])
})

test('where there is no presence, nobody is announced', async (t) => {
  const service = await start(t, [{ pattern: 'crowd', presence: false }])
  const client = await connect(service)
  await client.join('crowd')
  await client.join('other')
  const another = await connect(service, { token: makeToken({ sub: 'bob' }) })
  await another.join('crowd')
  await another.join('other')
  await another.ask({ type: 'leave', room: 'crowd' })
  await another.ask({ type: 'leave', room: 'other' })
  t.match(await client.next('system'), { room: 'other', event: 'joined', user: 'bob' })
  t.match(await client.next('system'), { room: 'other', event: 'left', user: 'bob' })
  t.strictSame((await client.drain()).map((frame) => (frame as Frame).room), [])
})

test('equal policies have the same digest, however they are written', (t) => {
  const digest = (json: string | undefined, size = 5): string => readPolicies(json, { size, ttlSeconds: 7 }).digest
  const rule = digest('[{"pattern":"a","history":{"size":1,"ttlSeconds":2},"presence":true}]')
  t.equal(digest('[{ "history": { "ttlSeconds": 2, "size": 1 }, "publish": "clients", "pattern": "a" }]'), rule)
  const others = [
    digest(undefined), digest(undefined, 6), digest('[{"pattern":"b","history":{"size":1,"ttlSeconds":2}}]'),
    digest('[{"pattern":"a","history":false}]'), digest('[{"pattern":"a","history":{"size":1}}]'),
    digest('[{"pattern":"a","history":{"size":1,"ttlSeconds":2},"presence":false}]')
  ]
  t.equal(new Set([rule, ...others]).size, others.length + 1)
  t.end()
})
