import { once } from 'node:events'
import { type Test, test } from 'tap'
import { createPublisher, type Publisher, type PublisherOptions, RoomcastError } from '../../client/publisher/index.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { connect } from '../support/websocket-client.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { Gateway, problem } from './gateway.ts'

const EVERYTHING = makeToken({ sub: 'shop', rooms: { '**': ['*'], '@all': ['*'], '@user:*': ['*'] } })

/** A service, a gateway in front of it, and a publisher that reaches it by that. */
async function start (
  t: Test,
  options: Partial<PublisherOptions> = {},
  environment: Record<string, string> = {}
): Promise<{ service: Service, gateway: Gateway, publisher: Publisher }> {
  const service = await startService(t, environment)
  const gateway = await Gateway.start(t, service)
  return { service, gateway, publisher: createPublisher({ url: gateway.url, token: EVERYTHING, ...options }) }
}

/** What a promise is rejected with. */
async function failure (promise: Promise<unknown>): Promise<RoomcastError> {
  return await promise.then(() => { throw new Error('it succeeded') }, (error: unknown) => error) as RoomcastError
}

async function history (service: Service, room: string): Promise<Record<string, unknown>[]> {
  return (await call(service, 'GET', `/v1/rooms/${room}/messages`)).body.messages
}

test('what is published to a room, to everybody and to a user reaches a member', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  const { epoch } = await client.next('joined')
  const publisher = createPublisher({ url: `${service.url}/`, token: EVERYTHING })

  const published = await publisher.publish('lobby', { text: 'Grüße 👋' })
  t.strictSame(published, { room: 'lobby', epoch, offset: 1, time: published.time, audience: 1, replayed: false })
  t.match(await client.next('message'), { room: 'lobby', offset: 1, time: published.time, from: 'shop', text: 'Grüße 👋' })
  for (const data of [{ id: 7, list: [1.5, null] }, null, '', false]) {
    await publisher.publish('lobby', { event: 'order', data })
    t.match(await client.next('message'), { event: 'order', data })
  }
  t.match(await publisher.broadcast({ event: 'noon', text: 'to all' }), { room: '@all', audience: 1, replayed: false })
  t.match(await client.next('message'), { room: '@all', event: 'noon', text: 'to all' })
  t.match(await publisher.toUser('ada', { data: 1 }), { room: '@user:ada', audience: 1 })
  t.match(await client.next('message'), { room: '@user', data: 1 })
})

test('a publisher above the rate waits as it is told, and everything gets through, once', async (t) => {
  const { service, publisher } = await start(t, {}, { REST_RATE: '50', REST_BURST: '10' })
  const numbers = Array.from({ length: 30 }, (_, i) => i)
  const published = await Promise.all(numbers.map(async (data) => await publisher.publish('lobby', { data })))
  const results = await publisher.batch(numbers.map((data) => ({ room: 'orders', data })))
  const offsets = published.map(({ offset }) => Number(offset)).sort((a, b) => a - b)
  t.strictSame(offsets, numbers.map((i) => i + 1))
  t.ok(results.every((result) => !(result instanceof RoomcastError)))
  t.strictSame((await history(service, 'orders')).map(({ data }) => data), numbers, 'a batch keeps its order')
})

test('bytes reach a member as they are, alone and in a batch', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const publisher = createPublisher({ url: service.url, token: EVERYTHING })
  const bytes = Uint8Array.from({ length: 50_000 }, (_, i) => i % 256)
  await publisher.publish('lobby', { bytes, event: 'a sketch & more' })
  await publisher.publish('lobby', { bytes: new Uint8Array() })
  await publisher.batch([{ room: 'lobby', bytes, event: 'blob' }, { room: 'lobby', bytes: new Uint8Array() }])
  for (const [expected, event] of [
    [bytes, 'a sketch & more'],
    [new Uint8Array(), undefined],
    [bytes, 'blob'],
    [new Uint8Array(), undefined]
  ] as const) {
    const frame = await client.next('message')
    t.strictSame([frame.binary, frame.event], [expected.length, event])
    t.ok((await client.nextBinary()).equals(expected))
  }
})

test('rooms and users may have any name that a URL can have', async (t) => {
  const { service, publisher } = await start(t)
  for (const room of ['a|b=c+d~e@f:g', '...', '%2B'.replace('%', '-')]) {
    t.match(await publisher.publish(room, { text: 'x' }), { room, offset: 1 })
  }
  for (const user of ['a/b', '../../rooms/lobby', '100%', '?#', 'Grüße 世界', ' ']) {
    t.match(await publisher.toUser(user, { text: 'x' }), { room: `@user:${user}` })
  }
  for (const name of ['.', '..', '']) {
    t.match(await failure(publisher.publish(name, { text: 'x' })), { code: 'invalid_request' })
    t.match(await failure(publisher.toUser(name, { text: 'x' })), { code: 'invalid_request' })
  }
  t.match(await failure(publisher.toUser('\ud800', { text: 'x' })), { code: 'invalid_request' })
  t.match(await publisher.batch([{ room: '..', text: 'x' }]), [{ room: '..', offset: 1 }], 'a batch has no room in its URL')
  t.equal((await history(service, 'messages')).length, 0)
})

test('exclude leaves an origin out', async (t) => {
  const { service, publisher } = await start(t)
  const origin = 'a-tab-of-the-page'
  const client = await connect(service, { query: `origin=${origin}&room=lobby` })
  await client.next('joined')
  await publisher.publish('lobby', { text: 'one' }, { exclude: origin })
  await publisher.publish('lobby', { bytes: new Uint8Array(3) }, { exclude: origin })
  await publisher.batch([{ room: 'lobby', text: 'two', exclude: origin }])
  await publisher.publish('lobby', { text: 'three' })
  t.match(await client.next('message'), { text: 'three', offset: 4 })
})

test('the service may be under a path', async (t) => {
  const { gateway } = await start(t)
  for (const url of [`${gateway.url}/under/a/path`, `${gateway.url}/under/a/path/`]) {
    t.match(await createPublisher({ url, token: EVERYTHING }).publish('lobby', { text: 'x' }), { room: 'lobby' })
  }
  t.strictSame(gateway.seen.map(({ path }) => path), ['/under/a/path/v1/rooms/lobby/messages', '/under/a/path/v1/rooms/lobby/messages'])
})

test('what is no message is refused before it is sent', async (t) => {
  const { gateway, publisher } = await start(t)
  const circular: unknown[] = []
  circular.push(circular)
  const contents = [
    {}, null, 'text',
    { text: 'x', data: 1 }, { data: 1, bytes: new Uint8Array() },
    { text: 7 },
    { data: undefined }, { data: () => {} }, { data: 1n }, { data: circular },
    { data: new Map() }, { data: { list: [new Set()] } }, { data: new ArrayBuffer(2) }, { data: { nan: NaN } }, { data: [undefined] },
    { bytes: [1, 2] }, { bytes: new Blob(['x']) },
    { text: 'x', event: 7 }
  ]
  for (const content of contents) {
    const error = await failure(publisher.publish('lobby', content as never))
    t.ok(error instanceof RoomcastError)
    t.match(error, { code: 'invalid_request', retryable: false })
  }
  for (const key of ['', 'a'.repeat(256), 'a\nb', ' a', 'a ', 'Grüße', 7 as unknown as string]) {
    t.match(await failure(publisher.publish('lobby', { text: 'x' }, { key })), { code: 'invalid_request' }, `key ${key}`)
  }
  t.match(await failure(publisher.broadcast({ text: 'x' }, { exclude: 7 as never })), { code: 'invalid_request' })
  t.match(await failure(publisher.batch('x' as never)), { code: 'invalid_request' })
  const items = [
    ...contents,
    { room: 7, text: 'x' },
    { room: 'lobby', text: 'x', key: '' },
    { room: 'lobby', text: 'x', exclude: 7 }
  ]
  t.match(await publisher.batch(items as never), items.map(() => ({ code: 'invalid_request' })))
  t.strictSame(await publisher.batch([]), [])
  t.equal(gateway.seen.length, 0)
})

test('a publisher is not made of what it cannot use', (t) => {
  const good = { url: 'http://127.0.0.1', token: 'x' }
  const bad = [
    { url: 'not a url' }, { url: 'ws://127.0.0.1' }, { url: 'http://ada:secret@127.0.0.1' }, { url: 'http://127.0.0.1?a=b' },
    { token: '' }, { token: 'a b' }, { token: undefined },
    { timeoutMs: 0 }, { timeoutMs: NaN }, { giveUpMs: -1 }
  ]
  for (const options of bad) {
    t.throws(
      () => createPublisher({ ...good, ...options } as PublisherOptions),
      { code: 'invalid_request' },
      JSON.stringify(options)
    )
  }
  t.doesNotThrow(() => createPublisher({ ...good, token: 'from-a-file\n' }))
  t.end()
})

test('a lost answer is asked for again with the same key, and it is one message', async (t) => {
  const { service, gateway, publisher } = await start(t)
  gateway.faults.push('lose', 'lose')
  t.match(await publisher.publish('lobby', { text: 'once' }), { offset: 1, replayed: true })
  t.equal(gateway.seen.length, 3)
  t.match(gateway.keys[0], /^[\da-f-]{36}$/)
  t.equal(new Set(gateway.keys).size, 1)
  await publisher.publish('lobby', { text: 'twice' })
  t.equal(new Set(gateway.keys).size, 2, 'the next one has a key of its own')
  t.match(await history(service, 'lobby'), [{ text: 'once' }, { text: 'twice' }])
})

test('a connection that breaks before the answer does no harm', async (t) => {
  const service = await startService(t)
  const proxy = await TcpProxy.start(t, service.port)
  const publisher = createPublisher({ url: `http://127.0.0.1:${proxy.port}`, token: EVERYTHING })
  proxy.swallowReplies()
  const publishing = publisher.publish('lobby', { text: 'once' })
  await until(() => service.log.some((line) => line.includes('request completed')) && proxy.connections === 0, 'an answer to be lost')
  proxy.heal()
  t.match(await publishing, { offset: 1, replayed: true })
  t.equal((await history(service, 'lobby')).length, 1)
})

test('every attempt sends the same, whatever becomes of what was given', async (t) => {
  const { service, gateway, publisher } = await start(t)
  gateway.faults.push('lose')
  const bytes = Uint8Array.of(1, 2, 3)
  const publishing = publisher.publish('lobby', { bytes })
  bytes.fill(9)
  t.match(await publishing, { replayed: true })
  t.match(await history(service, 'lobby'), [{ base64: 'AQID' }])
})

test('a key of the caller makes a second call the same message', async (t) => {
  const { service, publisher } = await start(t)
  t.match(await publisher.publish('lobby', { data: 7 }, { key: 'order-7' }), { offset: 1, replayed: false })
  t.match(await publisher.publish('lobby', { data: 7 }, { key: 'order-7' }), { offset: 1, replayed: true })
  t.match(
    await publisher.batch([{ room: 'lobby', data: 7, key: 'order-7' }, { room: 'lobby', data: 8 }]),
    [{ offset: 1, replayed: true }, { offset: 2, replayed: false }]
  )
  t.match(await failure(publisher.publish('lobby', { data: 8 }, { key: 'order-7' })), { code: 'idempotency_conflict', retryable: false })
  t.equal((await history(service, 'lobby')).length, 2)
})

test('what may succeed later is tried again', async (t) => {
  const { gateway, publisher } = await start(t)
  for (const answer of [
    problem(503, 'unavailable'),
    problem(429, 'rate_limited', { retryable: true }),
    problem(500, 'internal'),
    { status: 502 },
    { status: 503, body: '<html>' },
    problem(504, 'publish_unknown')
  ]) {
    gateway.seen.length = 0
    gateway.faults.push(answer, answer)
    t.match(await publisher.publish('lobby', { text: 'x' }), { room: 'lobby', replayed: false }, String(answer.status))
    t.equal(gateway.seen.length, 3)
  }
})

test('an attempt that takes too long is made again', async (t) => {
  const { gateway, publisher } = await start(t, { timeoutMs: 500 })
  gateway.faults.push('hang')
  t.match(await publisher.publish('lobby', { text: 'x' }), { offset: 1 })
  t.not(gateway.seen.length, 1)
})

test('nothing is sent before the time that the service or a proxy has named', async (t) => {
  const { gateway, publisher } = await start(t, { giveUpMs: 20_000 })
  // Longer than it would be tried at all: were it not honoured, the second attempt would succeed.
  for (const answer of [
    problem(503, 'unavailable', { retryAfterMs: 60_000 }),
    { status: 429, headers: { 'retry-after': '60' } },
    { status: 503, headers: { 'retry-after': new Date(Date.now() + 90_000).toUTCString() } }
  ]) {
    gateway.faults.push(answer)
    const error = await failure(publisher.publish('lobby', { text: 'x' }))
    const { retryAfterMs } = (error.code === 'unknown' ? error.cause : error) as RoomcastError
    t.ok(Number(retryAfterMs) > 20_000, `${error.code} says when`)
  }
  t.equal(gateway.seen.length, 3)
  gateway.faults.push({ status: 429, headers: { 'retry-after': '0' } })
  t.match(await publisher.publish('lobby', { text: 'x' }), { offset: 1 })
})

test('what is refused is thrown at once, with its code', async (t) => {
  const { gateway } = await start(t)
  const publisher = createPublisher({ url: gateway.url, token: makeToken({ rooms: { lobby: ['publish'] } }) })
  const attempts: [Promise<unknown>, string][] = [
    [publisher.publish('private', { text: 'x' }), 'forbidden'],
    [publisher.broadcast({ text: 'x' }), 'forbidden'],
    [publisher.publish('a,b', { text: 'x' }), 'invalid_room'],
    [publisher.publish('lobby', { text: 'x', event: '' }), 'invalid_request'],
    [publisher.publish('lobby', { text: 'x'.repeat(100_000) }), 'message_too_large'],
    [publisher.publish('lobby', { data: JSON.parse('['.repeat(40) + ']'.repeat(40)) }), 'too_deep'],
    [createPublisher({ url: gateway.url, token: 'not-a-token' }).publish('lobby', { text: 'x' }), 'unauthorized'],
    [createPublisher({ url: `${gateway.url}/elsewhere`, token: EVERYTHING }).publish('lobby', { text: 'x' }), 'not_found']
  ]
  for (const [attempt, code] of attempts) {
    const error = await failure(attempt)
    t.ok(error instanceof RoomcastError && error.message !== '')
    t.match(error, { code, retryable: false })
  }
  t.equal(gateway.seen.length, attempts.length)
})

test('what something else than the service answers is said, and redirections are not followed', async (t) => {
  const { service, gateway, publisher } = await start(t)
  gateway.faults.push(
    { status: 403, body: '<html>' },
    { status: 301, headers: { location: `${service.url}/v1/rooms/lobby/messages` } },
    { status: 200, body: '<html>' },
    { status: 200, body: '{"code":"fine"}' }
  )
  t.match(await failure(publisher.publish('lobby', { text: 'x' })), { code: 'http_403', retryable: false })
  t.match(await failure(publisher.publish('lobby', { text: 'x' })), { code: 'http_301', message: service.url })
  t.match(await failure(publisher.publish('lobby', { text: 'x' })), { code: 'unknown' })
  t.match(await failure(publisher.publish('lobby', { text: 'x' })), { code: 'unknown' })
  t.equal(gateway.seen.length, 4)
})

test('who gives up says whether it may have been published', async (t) => {
  const { gateway, publisher } = await start(t)
  // Longer than it is tried at all: it is given up at once.
  const retryAfterMs = 60_000
  const headers = { 'retry-after': '60' }
  for (const answer of [
    problem(504, 'publish_unknown', { retryAfterMs }),
    problem(500, 'internal', { retryAfterMs }),
    { status: 502, headers },
    { status: 503, headers }
  ]) {
    gateway.faults.push(answer, answer)
    t.match(
      await failure(publisher.publish('lobby', { text: 'x' })),
      { code: 'unknown', retryable: false, cause: RoomcastError },
      String(answer.status)
    )
    t.match(
      await failure(publisher.publish('lobby', { text: 'x' }, { key: 'mine' })),
      { code: 'unknown', retryable: true },
      "with a key of one's own it can be repeated"
    )
  }
  for (const [answer, code] of [
    [problem(503, 'unavailable', { retryAfterMs }), 'unavailable'],
    [problem(503, 'overloaded', { retryAfterMs }), 'overloaded'],
    [problem(429, 'rate_limited', { retryable: true, retryAfterMs }), 'rate_limited'],
    [{ status: 429, headers }, 'http_429']
  ] as const) {
    gateway.faults.push(answer)
    t.match(await failure(publisher.publish('lobby', { text: 'x' })), { code, retryable: true, retryAfterMs })
  }
  gateway.faults.push('lose', problem(503, 'unavailable', { retryAfterMs }))
  t.match(
    await failure(publisher.publish('lobby', { text: 'x' })),
    { code: 'unknown', cause: { code: 'unavailable' } },
    'one lost answer is enough'
  )
  gateway.faults.push('lose', problem(403, 'forbidden'))
  t.match(
    await failure(publisher.publish('lobby', { text: 'x' })),
    { code: 'unknown', cause: { code: 'forbidden' } },
    'a later refusal says nothing of it'
  )

  gateway.otherwise = 'hang'
  const hurried = createPublisher({ url: gateway.url, token: EVERYTHING, timeoutMs: 100, giveUpMs: 500 })
  t.match(await failure(hurried.publish('lobby', { text: 'x' })), { code: 'unknown' }, 'no answer')
})

test('where nobody listens, certainly nothing was published', async (t) => {
  const service = await startService(t)
  const proxy = await TcpProxy.start(t, service.port)
  proxy.cut()
  t.match(await failure(createPublisher({ url: `http://127.0.0.1:${proxy.port}`, token: 'x', giveUpMs: 500 }).publish('lobby', { text: 'x' })), { code: 'unknown' }, 'a connection that breaks may have carried it')
  await service.app.close()
  for (const host of ['127.0.0.1', 'localhost']) {
    t.match(await failure(createPublisher({ url: `http://${host}:${service.port}`, token: 'x', giveUpMs: 2_000 }).publish('lobby', { text: 'x' })), { code: 'unavailable', retryable: true }, host)
  }
})

test('a token of a function is kept, and asked for once by all who wait', async (t) => {
  const { service } = await start(t)
  let asked = 0
  const publisher = createPublisher({ url: service.url, token: async () => { asked++; return EVERYTHING } })
  await Promise.all(Array.from({ length: 10 }, async () => await publisher.publish('lobby', { text: 'x' })))
  await publisher.batch([{ room: 'lobby', text: 'x' }])
  t.equal(asked, 1)
  t.equal((await history(service, 'lobby')).length, 11)
})

test('a token is replaced shortly before it expires', async (t) => {
  const { gateway } = await start(t)
  const tokens = [makeToken({ sub: 'Grüße', exp: Math.floor(Date.now() / 1_000) + 7 }), EVERYTHING, 'not asked for']
  const publisher = createPublisher({ url: gateway.url, token: () => tokens.shift() as string })
  for (let i = 0; i < 3; i++) await publisher.publish('lobby', { text: 'x' })
  t.strictSame(tokens, ['not asked for'])
  t.strictSame(gateway.seen.map(({ headers }) => headers.authorization === `Bearer ${EVERYTHING}`), [false, true, true])
})

test('a refused token is replaced once', async (t) => {
  const { service, gateway } = await start(t)
  const tokens = ['revoked', EVERYTHING, 'not asked for']
  const publisher = createPublisher({ url: gateway.url, token: () => tokens.shift() as string })
  t.match(await publisher.publish('lobby', { text: 'x' }), { offset: 1 })
  t.match(await publisher.batch([{ room: 'lobby', text: 'x' }]), [{ offset: 2 }])
  t.strictSame(tokens, ['not asked for'])
  t.equal(gateway.seen.length, 3)

  let asked = 0
  const hopeless = createPublisher({ url: gateway.url, token: () => `opaque-${++asked}` })
  t.match(await failure(hopeless.publish('lobby', { text: 'x' })), { code: 'unauthorized', retryable: false })
  t.equal(asked, 2)
  t.match(await hopeless.batch([{ room: 'lobby', text: 'x' }]), [{ code: 'unauthorized' }])
  t.equal((await history(service, 'lobby')).length, 2)

  gateway.faults.push(problem(401, 'unauthorized'), problem(503, 'unavailable'), { status: 401 })
  t.match(await failure(hopeless.publish('lobby', { text: 'x' })), { code: 'http_401' }, 'once, in all attempts together')
  t.strictSame(gateway.faults, [])
})

test('all whose token was refused get the same new one', async (t) => {
  const { gateway } = await start(t)
  let asked = 0
  const publisher = createPublisher({ url: gateway.url, token: () => asked++ === 0 ? 'revoked' : EVERYTHING })
  await Promise.all(Array.from({ length: 10 }, async () => await publisher.publish('lobby', { text: 'x' })))
  t.equal(asked, 2)
})

test('a function that has no token is a refusal, and is asked again the next time', async (t) => {
  const { gateway } = await start(t, {})
  const answers = [() => { throw new Error('no such key') }, () => 'a\nb', () => undefined, () => EVERYTHING] as (() => string)[]
  const publisher = createPublisher({ url: gateway.url, token: () => (answers.shift() as () => string)() })
  t.match(await failure(publisher.publish('lobby', { text: 'x' })), { code: 'unauthorized', message: /no such key/, retryable: false })
  t.match(await publisher.batch([{ room: 'lobby', text: 'x' }]), [{ code: 'unauthorized' }])
  t.match(await failure(publisher.publish('lobby', { text: 'x' })), { code: 'unauthorized' })
  t.equal(gateway.seen.length, 0)
  t.match(await publisher.publish('lobby', { text: 'x' }), { offset: 1 })
})

test('a token that does not come in time is waited for no longer, and nothing was published', async (t) => {
  const { gateway } = await start(t)
  const publisher = createPublisher({ url: gateway.url, token: async () => await new Promise(() => {}), timeoutMs: 100, giveUpMs: 500 })
  t.match(await failure(publisher.publish('lobby', { text: 'x' })), { code: 'unauthorized', retryable: true })
  t.equal(gateway.seen.length, 0)
})

test('a batch of any size is published in order, and each item has its own result', async (t) => {
  const { service, gateway, publisher } = await start(t)
  const client = await connect(service, { query: 'room=even&room=odd' })
  for (let i = 0; i < 2; i++) await client.next('joined')
  const items = Array.from({ length: 250 }, (_, i) =>
    ({ room: i === 125 ? 'not a room' : i % 2 === 0 ? 'even' : 'odd', data: i, event: `e${i}` }))
  const results = await publisher.batch(items)
  t.equal(results.length, 250)
  const offsets: Record<string, number> = { even: 0, odd: 0 }
  for (const [i, result] of results.entries()) {
    const room = items[i]?.room ?? ''
    if (i === 125) {
      t.ok(result instanceof RoomcastError)
      t.match(result, { code: 'invalid_room', retryable: false })
    } else if (
      result instanceof RoomcastError ||
      result.room !== room ||
      result.offset !== ++(offsets[room] as number) ||
      result.replayed
    ) {
      t.fail(`item ${i}: ${JSON.stringify(result)}`)
    }
  }
  t.strictSame(gateway.bodies.map(({ messages }) => messages.length), [100, 100, 50])
  for (const room of ['even', 'odd']) {
    for (const { data, event } of items.filter((item) => item.room === room)) {
      t.match(await client.next((frame) => frame.type === 'message' && frame.room === room), { data, event })
    }
  }
})

test('a batch is split by its size, too', async (t) => {
  const { service, gateway, publisher } = await start(t)
  const items = Array.from({ length: 40 }, (_, i) => ({ room: 'lobby', text: `${i} ${'ü'.repeat(30_000)}` }))
  t.strictSame(
    (await publisher.batch(items)).map((result) => result instanceof RoomcastError ? result : result.offset),
    items.map((_, i) => i + 1)
  )
  t.equal(gateway.seen.length, 3)
  t.ok(gateway.seen.every(({ headers }) => Number(headers['content-length']) <= 16 * 65_536))
  const direct = createPublisher({ url: service.url, token: EVERYTHING })
  t.match(
    await direct.batch([
      { room: 'lobby', text: 'x' },
      { room: 'lobby', text: 'x'.repeat(5_000_000) },
      { room: 'lobby', text: 'y' }
    ]),
    [{ offset: 41 }, { code: 'message_too_large' }, { offset: 42 }]
  )
  t.strictSame((await history(service, 'lobby')).map(({ text }) => String(text).split(' ')[0]).slice(-3), ['39', 'x', 'y'])
})

test('a batch fits itself to a smaller limit of the service', async (t) => {
  const { service, publisher } = await start(t, {}, { MAX_MESSAGE_BYTES: '100' })
  const results = await publisher.batch(Array.from({ length: 100 }, (_, i) =>
    ({ room: 'lobby', text: i === 50 ? 'x'.repeat(2_000) : String(i) })))
  t.match(results[50], { code: 'message_too_large' })
  t.strictSame(
    (await history(service, 'lobby')).map(({ text }) => text),
    Array.from({ length: 100 }, (_, i) => String(i)).filter((text) => text !== '50')
  )
})

test('a batch whose answer was lost is sent again, and is in the room once', async (t) => {
  const { service, gateway, publisher } = await start(t)
  gateway.faults.push('pass', 'lose', problem(503, 'unavailable'))
  const results = await publisher.batch(Array.from({ length: 150 }, (_, i) => ({ room: 'lobby', data: i })))
  t.match(results, results.map((_, i) => ({ offset: i + 1, replayed: i >= 100 })))
  t.strictSame((await history(service, 'lobby')).map(({ data }) => data), Array.from({ length: 150 }, (_, i) => i))
})

test('items of a batch that may succeed later are sent again, alone and with their keys', async (t) => {
  const { service, gateway, publisher } = await start(t)
  const { body: error } = problem(503, 'unavailable')
  const answers = [
    '{"room":"one","time":1,"audience":0}',
    `{"error":${error}}`,
    `{"error":${problem(403, 'forbidden').body}}`,
    `{"error":${error}}`
  ]
  gateway.faults.push({ status: 207, body: `{"results":[${answers.join()}]}` })
  const results = await publisher.batch([
    { room: 'one', text: 'a' },
    { room: 'one', text: 'b', key: 'mine' },
    { room: 'two', text: 'c' },
    { room: 'one', text: 'd' }
  ])
  t.match(results, [{ room: 'one', time: 1 }, { room: 'one', offset: 1, replayed: false }, { code: 'forbidden' }, { offset: 2 }])
  const [first, second] = gateway.bodies
  t.strictSame(second.messages, [first.messages[1], first.messages[3]])
  t.equal(first.messages[1].key, 'mine')
  t.match(await history(service, 'one'), [{ text: 'b' }, { text: 'd' }])
})

test('nothing overtakes an item of a batch that was given up', async (t) => {
  const { service, gateway, publisher } = await start(t)
  const { body: error } = problem(503, 'unavailable', { retryAfterMs: 60_000 })
  const { body: unknown } = problem(504, 'publish_unknown')
  const items = Array.from({ length: 150 }, (_, i) => ({ room: i % 3 === 0 ? 'gone' : `here-${i}`, data: i }))
  const answers = items.slice(0, 100).map((_, i) => {
    if (i === 0) return `{"error":${error}}`
    return i === 3 ? `{"error":${unknown}}` : '{"room":"x","time":1,"audience":0}'
  })
  gateway.faults.push({ status: 207, body: `{"results":[${answers.join()}]}` })
  const results = await publisher.batch(items)
  t.match(results[0], { code: 'unavailable', message: 'it is unavailable' })
  t.match(results[3], { code: 'unknown', cause: { code: 'publish_unknown' } })
  t.match(results[102], { code: 'unavailable', message: /not sent/, retryable: true })
  t.match(results[103], { room: 'here-103', offset: 1 }, 'other rooms go on')
  t.equal((await history(service, 'gone')).length, 0)
})

test('a batch ends where nothing answers any more', async (t) => {
  const { gateway, publisher } = await start(t)
  gateway.faults.push('pass')
  gateway.otherwise = problem(504, 'publish_unknown', { retryAfterMs: 60_000 })
  const results = await publisher.batch(Array.from({ length: 350 }, (_, i) =>
    ({ room: `room-${i}`, data: i, ...(i === 100 && { key: 'mine' }) })))
  t.match([results[0], results[99]], [{ offset: 1 }, { offset: 1 }])
  t.match([results[100], results[199]], [{ code: 'unknown', retryable: true }, { code: 'unknown', retryable: false }])
  t.match([results[200], results[349]], [{ code: 'unavailable' }, { code: 'unavailable' }])
  t.notOk(gateway.bodies.some(({ messages }) => messages.some(({ data }: { data: number }) => data >= 200)))
})

test('a batch of which all is refused says so of each item', async (t) => {
  const { service } = await start(t)
  t.match(
    await createPublisher({ url: service.url, token: 'bad' }).batch([{ room: 'a', text: 'x' }, { room: 'b', text: 'x' }]),
    [{ code: 'unauthorized' }, { code: 'unauthorized' }]
  )
})

test('publishes that follow each other use the same connections, whatever is answered', async (t) => {
  const service = await startService(t)
  let connections = 0
  service.app.server.on('connection', () => { connections++ })
  const publisher = createPublisher({ url: service.url, token: EVERYTHING })
  for (let i = 0; i < 20; i++) {
    await publisher.publish('lobby', { data: i })
    if (i % 5 === 0) await failure(publisher.publish('not a room', { data: i }))
    if (i % 5 === 1) await publisher.batch([{ room: 'lobby', data: i }, { room: 'not a room', data: i }])
  }
  // Node's fetch opens a second one where a request follows the first answer at once, and stays with the two.
  t.ok(connections <= 2, `${connections} connections`)
})

test('a signal ends it: before, while it waits for an answer, for a token, and between attempts', async (t) => {
  const { gateway, publisher } = await start(t)
  const reason = new Error('the user has left')
  t.equal(await failure(publisher.publish('lobby', { text: 'x' }, { signal: AbortSignal.abort(reason) })), reason)
  t.equal(await failure(publisher.batch([{ room: 'lobby', text: 'x' }], { signal: AbortSignal.abort(reason) })), reason)
  t.equal(gateway.seen.length, 0)

  gateway.otherwise = 'hang'
  for (const begin of [
    async (signal: AbortSignal) => await publisher.publish('lobby', { text: 'x' }, { signal }),
    async (signal: AbortSignal) => await publisher.batch([{ room: 'lobby', text: 'x' }], { signal })
  ]) {
    const controller = new AbortController()
    const before = gateway.seen.length
    const failing = failure(begin(controller.signal) as Promise<unknown>)
    await until(() => gateway.seen.length > before, 'the request')
    controller.abort(reason)
    t.equal(await failing, reason)
  }

  gateway.otherwise = problem(503, 'unavailable', { retryAfterMs: 200_000 })
  const waiting = new AbortController()
  const seen = gateway.seen.length
  const patient = createPublisher({ url: gateway.url, token: EVERYTHING, giveUpMs: 240_000 })
  const pausing = failure(patient.publish('lobby', { text: 'x' }, { signal: waiting.signal }))
  await until(() => gateway.seen.length > seen, 'the first attempt')
  await new Promise((resolve) => setImmediate(resolve))
  waiting.abort(reason)
  t.equal(await pausing, reason)

  const asking = new AbortController()
  const asked = new EventTarget()
  const called = once(asked, 'call')
  const token = async (): Promise<string> => await new Promise(() => { asked.dispatchEvent(new Event('call')) })
  const tokenless = createPublisher({ url: gateway.url, token })
  const failing = failure(tokenless.publish('lobby', { text: 'x' }, { signal: asking.signal }))
  await called
  asking.abort(reason)
  t.equal(await failing, reason)
})

test('rooms may have types', async (t) => {
  const { service } = await start(t)
  interface Rooms { lobby: { note: string }, [orders: `orders:${string}`]: { id: number } }
  const publisher = createPublisher<Rooms>({ url: service.url, token: EVERYTHING })
  await publisher.publish('lobby', { data: { note: 'x' } })
  await publisher.publish('orders:7', { data: { id: 7 }, event: 'paid' })
  await publisher.publish('orders:7', { text: 'any room has texts' })
  // @ts-expect-error data of another room
  await publisher.publish('orders:7', { data: { note: 'x' } })
  // @ts-expect-error no such room
  await publisher.publish('elsewhere', { data: 1 })
  // @ts-expect-error two contents
  await failure(publisher.publish('lobby', { text: 'x', bytes: new Uint8Array() }))
  await publisher.batch([{ room: 'lobby', data: { note: 'x' } }, { room: 'orders:7', data: { id: 7 } }, { room: 'orders:8', text: 'x' }])
  // @ts-expect-error data of another room
  await publisher.batch([{ room: 'lobby', data: { id: 7 } }])
  t.pass('it compiles')
})
