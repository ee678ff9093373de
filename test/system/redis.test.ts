import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { test } from 'tap'
import { findRedis } from '../support/debian.ts'
import { openEvents } from '../support/event-stream.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { until } from '../support/until.ts'
import { close, connect, type Frame } from '../support/websocket-client.ts'
import { RedisServer } from '../support/redis-server.ts'
import { spawnServer, startProcess } from '../support/service-process.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { checkNothingLost, Publisher, startPair, untilReady, untilWorking } from './load.ts'

const program = findRedis(t)

/** What somebody is answered who joins a room with a position, and goes again. */
async function comeBack (service: Service, { epoch, offset }: { epoch: string, offset: number }, room = 'lobby'): Promise<Frame> {
  const client = await connect(service, { token: makeToken({ sub: 'back' }), query: `room=${room}&since=${epoch}:${offset}` })
  const joined = await client.next('joined')
  await close(client)
  return joined
}

if (program !== undefined) {
  test('what is posted to one instance reaches members on every one, with one position and everybody counted', async (t) => {
    const redis = await RedisServer.start(t, program)
    const { services, clients, journals } = await startPair(t, { REDIS_URL: redis.url })
    const first = await call(services[0], 'POST', '/v1/rooms/lobby/messages', { body: { text: 'a' } })
    const second = await call(services[1], 'POST', '/v1/rooms/lobby/messages', { body: { text: 'b' } })
    clients[0]?.send({ type: 'chat', text: 'c' })
    t.match(first.body, { offset: 1, audience: 2 })
    t.match(second.body, { offset: 2, audience: 2, epoch: first.body.epoch })
    for (const journal of journals) {
      await until(() => journal.frames.length === 3)
      t.strictSame(journal.frames.map(({ text, offset }) => [text, offset]), [['a', 1], ['b', 2], ['c', 3]])
    }
    t.match(await clients[1]?.join('elsewhere'), { type: 'joined', audience: 1 })
    t.match(await clients[0]?.join('elsewhere'), { type: 'joined', audience: 2 })
    for (const service of services) {
      t.strictSame(
        (await call(service, 'GET', '/v1/rooms')).body.rooms,
        [{ room: 'elsewhere', audience: 2 }, { room: 'lobby', audience: 2 }]
      )
      t.match((await call(service, 'GET', '/v1/rooms/lobby')).body, { audience: 2, offset: 3 })
    }
    const all = await call(services[0], 'POST', '/v1/broadcast', {
      body: { text: 'all' },
      token: makeToken({ rooms: { '@all': ['publish'] } })
    })
    t.match(all, { status: 201, body: { audience: 2 } })
    const own = await call(services[0], 'POST', '/v1/users/member-1/messages', {
      body: { text: 'you' },
      token: makeToken({ rooms: { '@user:*': ['publish'] } })
    })
    t.match(own, { status: 201, body: { audience: 1 } })
    t.match(await clients[1]?.next(({ room }) => room === '@user'), { text: 'you' })
    const publish = async (n: 0 | 1, text: string) => {
      return await call(services[n], 'POST', '/v1/rooms/lobby/messages', { body: { text }, headers: { 'idempotency-key': 'k' } })
    }
    t.equal((await publish(1, 'a')).headers.get('idempotent-replayed'), null)
    t.equal((await publish(0, 'a')).headers.get('idempotent-replayed'), 'true', 'a retry by another instance')
    t.equal((await publish(0, 'b')).status, 422)
  })

  test('messages that exclude a client are no loss when it resumes at another instance, also while more arrive', async (t) => {
    const redis = await RedisServer.start(t, program)
    const { services } = await startPair(t, { REDIS_URL: redis.url, HISTORY_SIZE: '20000' })
    const origin = 'the-tab-of-the-sender'
    const client = await connect(services[0], { query: `room=lobby&origin=${origin}` })
    const { epoch, offset } = await client.next('joined')
    for (let i = 0; i < 700; i++) client.send({ type: 'publish', room: 'lobby', data: i, echo: false, id: i })
    await client.next(({ type, id }) => type === 'ack' && id === 699)
    await close(client)
    const publish = async (text: string) => await call(services[0], 'POST', '/v1/rooms/lobby/messages', { body: { text } })
    const flood = async () => {
      const { broker } = services[0].app.roomcast
      const publication = { room: 'lobby', fields: Buffer.from('"from":"ada","text":"mine"'), exclude: origin }
      await Promise.all(Array.from({ length: 500 }, async () => await broker.publish(publication)))
    }
    await publish('a')
    let floods = 2
    const { broker } = services[1].app.roomcast
    const read = broker.history.bind(broker)
    broker.history = async (...query) => {
      const page = await read(...query)
      if (floods-- > 0) await flood()
      return page
    }
    const back = await connect(services[1], { query: `room=lobby&origin=${origin}&since=${epoch}:${offset}` })
    t.match(await back.next('joined'), { recovered: true, missed: 1, epoch, offset: 1_701 })
    t.match(await back.next('message'), { text: 'a', offset: 701 })
    await publish('b')
    t.match(await back.next('message'), { text: 'b', offset: 1_702 })
    await close(back)
    const other = await comeBack(services[1], { epoch: String(epoch), offset: Number(offset) })
    t.match(other, { recovered: false }, 'another origin would have got them')
  })

  test('an event stream goes on at another instance, with everything once', async (t) => {
    const redis = await RedisServer.start(t, program)
    const { services } = await startPair(t, { REDIS_URL: redis.url })
    const path = '/v1/events?room=lobby&room=b'
    const first = await openEvents(services[0], path)
    t.match(await first.next(({ frame }) => frame.room === 'lobby'), { frame: { offset: 0, audience: 3 } })
    const publish = async (n: number, room: string, text: string) => {
      await call(services[n] as Service, 'POST', `/v1/rooms/${room}/messages`, { body: { text } })
    }
    await publish(1, 'lobby', 'a')
    await publish(0, 'b', 'b')
    await Promise.all([first.text('a'), first.text('b')])
    first.reset()
    await until(() => services[0].app.roomcast.hub.connections.size === 1)
    for (const text of ['c', 'd', 'e']) await publish(0, 'lobby', text)
    const second = await openEvents(services[1], path, { headers: { 'last-event-id': first.lastEventId } })
    t.match(
      [await second.next('joined'), await second.next('joined')].map(({ frame: { room, recovered, missed } }) => [room, recovered, missed]),
      [['b', true, 0], ['lobby', true, 3]]
    )
    await publish(0, 'lobby', 'f')
    await second.text('f')
    t.strictSame(second.messages.map(({ text }) => text), ['c', 'd', 'e', 'f'])
  })

  test('an event stream that begins while its rooms cannot be reached stays open, and joins them when they can', async (t) => {
    const redis = await RedisServer.start(t, program, '--appendonly yes', '--appendfsync always')
    const service = await startService(t, { REDIS_URL: redis.url, REDIS_DURABLE: 'true' })
    const { body: { epoch } } = await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'a' } })
    await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'b' } })
    await redis.kill()
    await untilReady(service, 503)
    const reader = await openEvents(service, '/v1/rooms/lobby/events?protocol=roomcast.v1', {
      headers: { 'last-event-id': `${epoch as string}:1` }
    })
    const two = await openEvents(service, '/v1/events?room=lobby&room=b', { headers: { 'last-event-id': `0:0,${epoch as string}:1` } })
    const gone = await openEvents(service, '/v1/rooms/lobby/events')
    t.match(await reader.next('welcome'), { id: undefined, frame: { rooms: [{ room: '@user' }, { room: '@all' }] } })
    t.strictSame(reader.events.map(({ type }) => type), ['welcome'])
    gone.reset()
    await until(() => service.app.roomcast.hub.connections.size === 2)
    await redis.start()
    await untilReady(service, 200)
    for (const stream of [reader, two]) {
      t.match(await stream.next(({ type, frame }) => type === 'joined' && frame.room === 'lobby'), {
        frame: { recovered: true, missed: 1, offset: 2 }
      })
    }
    t.match(await two.next(({ type, frame }) => type === 'joined' && frame.room === 'b'), { frame: { recovered: false } })
    const { body } = await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'c' } })
    t.match(body, { audience: 2 })
    for (const stream of [reader, two]) {
      await stream.text('c')
      t.strictSame(stream.messages.map(({ text }) => text), ['b', 'c'])
    }
    await reader.next(({ type, frame }) => type === 'joined' && frame.room === '@all')
  })

  test('a Redis that refuses, asks for another password, or is none ends the start with one line', async (t) => {
    const locked = await RedisServer.start(t, program, '--requirepass right')
    const cluster = await RedisServer.start(t, program, '--cluster-enabled yes')
    for (const [environment, says] of [
      [{ REDIS_URL: 'redis://127.0.0.1:1' }, /^roomcast: Redis at 127\.0\.0\.1:1 \(REDIS_URL\) cannot be used: .*ECONNREFUSED.*\n$/],
      [{ REDIS_URL: `redis://:wrong@127.0.0.1:${locked.port}` }, /^roomcast: Redis at 127\.0\.0\.1:\d+ \(REDIS_URL\) cannot be used: .*WRONGPASS.*\n$/],
      [{ REDIS_URL: locked.url }, /^roomcast: Redis at 127\.0\.0\.1:\d+ \(REDIS_URL\) cannot be used: .*NOAUTH.*\n$/],
      [{ REDIS_URL: cluster.url }, /^roomcast: Redis at 127\.0\.0\.1:\d+ \(REDIS_URL\) cannot be used: .*REDIS_CLUSTER.*\n$/],
      [
        { REDIS_CLUSTER: `127.0.0.1:${cluster.port}` },
        /^roomcast: Redis at 127\.0\.0\.1:\d+ \(REDIS_CLUSTER\) cannot be used: .*slots.*\n$/
      ],
      [{ REDIS_CLUSTER: '127.0.0.1:1' }, /^roomcast: Redis at 127\.0\.0\.1:1 \(REDIS_CLUSTER\) cannot be used: .*ECONNREFUSED.*\n$/],
      [
        { REDIS_SENTINELS: '127.0.0.1:1', REDIS_SENTINEL_NAME: 'rooms' },
        /^roomcast: Redis at 127\.0\.0\.1:1 \(REDIS_SENTINELS, master rooms\) cannot be used: .*\n$/
      ]
    ] as const) {
      const service = spawnServer(t, { JWT_SECRET: SECRET, ...environment })
      t.equal(await service.exited, 1)
      t.match(service.stderr(), says)
      t.notMatch(service.stderr(), /wrong@|right/, 'no password')
    }
    const right = await startProcess(t, { JWT_SECRET: SECRET, REDIS_URL: `redis://:right@127.0.0.1:${locked.port}` })
    t.match(await (await fetch(`${right.url}/health/ready`)).json(), { status: 'ready' })
  })

  test('connections to Redis that are killed under load cost neither an answer nor a message', async (t) => {
    const redis = await RedisServer.start(t, program)
    const { services, journals } = await startPair(t, { REDIS_URL: redis.url })
    const publisher = new Publisher(services)
    for (let i = 0; i < 20; i++) {
      await publisher.untilAcknowledged(20)
      await redis.command('client', 'kill', 'type', i % 2 === 0 ? 'pubsub' : 'normal', 'skipme', 'yes')
    }
    await publisher.untilAcknowledged(20)
    await checkNothingLost(t, publisher, journals)
    t.strictSame([...publisher.answers.keys()], ['201'])
    t.strictSame(journals.map(({ resets }) => resets.length), [0, 0])
    t.ok(services.some(({ app }) => app.roomcast.continuity.counts.filled > 0), 'and there were holes to fill')
  })

  test('a durable Redis that is killed under load and comes back has lost nothing', async (t) => {
    const redis = await RedisServer.start(t, program, '--appendonly yes', '--appendfsync always')
    const { services, clients, journals } = await startPair(t, { REDIS_URL: redis.url, REDIS_DURABLE: 'true' })
    const publisher = new Publisher(services)
    await publisher.untilAcknowledged(50)
    const before = (await call(services[0], 'POST', '/v1/rooms/quiet/messages', { body: { text: 'before' } })).body
    await redis.kill()
    await until(() => publisher.answers.has('503 unavailable'), 'publishes to be refused')
    const [client] = clients
    t.match(await client?.ask({ type: 'join', room: 'another' }), { type: 'error', code: 'unavailable', retryable: true })
    t.match(await client?.ask({ type: 'ping' }), { type: 'pong' }, 'sockets stay')
    const late = await connect(services[0], { protocols: ['roomcast.v1'] })
    t.match(await late.next('welcome'), { rooms: [{ room: '@user' }, { room: '@all' }] }, 'upgrades are accepted')
    t.match(await late.ask({ type: 'join', room: 'lobby' }), { type: 'error', code: 'unavailable' })
    await untilReady(services[0], 503)
    await redis.start()
    await untilReady(services[0], 200)
    t.match(
      await late.next(({ type, room }) => type === 'joined' && room === '@user'),
      { offset: 0 },
      'what nobody can ask for is made up for'
    )
    await publisher.untilAcknowledged(50)
    await checkNothingLost(t, publisher, journals)
    t.strictSame(journals.map(({ resets }) => resets.length), [0, 0])
    t.match(await late.ask({ type: 'join', room: 'lobby' }), { type: 'joined', audience: 3 })
    await call(services[0], 'POST', '/v1/rooms/quiet/messages', { body: { text: 'after' } })
    t.match(await comeBack(services[1], before, 'quiet'), { recovered: true, epoch: before.epoch, offset: 2, missed: 1 })
  })

  test('a Redis that was restarted starts new epochs, and members are told', async (t) => {
    const redis = await RedisServer.start(t, program, '--appendonly yes', '--appendfsync always')
    const { services, journals } = await startPair(t, { REDIS_URL: redis.url })
    const before = (await call(services[0], 'POST', '/v1/rooms/lobby/messages', { body: { text: 'a' } })).body
    await redis.kill()
    await redis.start()
    for (const journal of journals) await until(() => journal.resets.length === 1, 'a reset')
    const { body } = await call(services[1], 'POST', '/v1/rooms/lobby/messages', { body: { text: 'b' } })
    t.equal(body.offset, 1)
    t.not(body.epoch, before.epoch)
    for (const journal of journals) {
      await until(() => journal.texts.includes('b'))
      t.match(journal.resets, [{ type: 'reset', room: 'lobby', epoch: body.epoch, offset: 0, reason: 'epoch' }])
      t.equal(journal.broken, undefined)
    }
    t.match((await call(services[0], 'GET', `/v1/rooms/lobby/messages?after=1&epoch=${before.epoch}`)).body, {
      recovered: false,
      epoch: body.epoch
    })
    t.match(await comeBack(services[0], before), { recovered: false, epoch: body.epoch, offset: 1 })
    t.match(await comeBack(services[1], { epoch: body.epoch as string, offset: 0 }), { recovered: true, missed: 1 })
  })

  test('a Redis that was emptied starts new epochs, and everybody is counted again', async (t) => {
    const redis = await RedisServer.start(t, program)
    const { services, clients, journals } = await startPair(t, { REDIS_URL: redis.url })
    const before = (await call(services[0], 'POST', '/v1/rooms/lobby/messages', { body: { text: 'a' } })).body
    await redis.command('flushall')
    const { body } = await call(services[0], 'POST', '/v1/rooms/lobby/messages', { body: { text: 'b' } })
    t.match(await comeBack(services[1], before), { recovered: false, epoch: body.epoch, offset: 1 })
    t.equal(body.offset, 1)
    for (const journal of journals) {
      await until(() => journal.texts.includes('b'))
      t.match(journal.resets, [{ epoch: body.epoch, offset: 0, reason: 'epoch' }])
    }
    // A room where nothing happens is told by the next sign of life of its node.
    t.match(await clients[0]?.next(({ type, room }) => type === 'reset' && room === '@all'), { reason: 'epoch', offset: 0 })
    await until(() => services.every(({ app }) => app.roomcast.broker.reachable))
    for (const service of services) {
      for (const deadline = Date.now() + 20_000; ;) {
        const { audience } = (await call(service, 'GET', '/v1/rooms/lobby')).body
        if (audience === 2) break
        if (Date.now() > deadline) throw new Error(`the audience stays ${audience}`)
        await sleep(50)
      }
      t.strictSame((await call(service, 'GET', '/v1/rooms')).body.rooms, [{ room: 'lobby', audience: 2 }])
    }
  })

  test('a frozen Redis is noticed, and everything goes on when it is thawed', async (t) => {
    const redis = await RedisServer.start(t, program)
    const { services, journals } = await startPair(t, { REDIS_URL: redis.url })
    const publisher = new Publisher(services)
    await publisher.untilAcknowledged(20)
    redis.freeze()
    await untilReady(services[0], 503)
    t.ok(publisher.answers.has('504 publish_unknown'), 'what was sent may have happened')
    // The connections to what does not answer are given up: from then on nothing is sent, and refused at once.
    await until(() => publisher.answers.has('503 unavailable'), 'publishes to be refused')
    redis.thaw()
    await untilReady(services[0], 200)
    await publisher.untilAcknowledged(20)
    await checkNothingLost(t, publisher, journals)
    t.strictSame(journals.map(({ resets }) => resets.length), [0, 0])
  })

  test('a network that drops everything is noticed as well, and one that loses replies costs nothing', async (t) => {
    const redis = await RedisServer.start(t, program)
    const proxy = await TcpProxy.start(t, redis.port)
    const { services, journals } = await startPair(t, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` })
    const publisher = new Publisher(services)
    await publisher.untilAcknowledged(20)
    for (let i = 0; i < 5; i++) {
      proxy.swallowReplies()
      await until(() => proxy.connections < 4, 'connections to be lost')
      proxy.heal()
      await publisher.untilAcknowledged(20)
    }
    t.strictSame([...publisher.answers.keys()], ['201'], 'what was done already is not done again')
    proxy.hold()
    await untilReady(services[1], 503)
    proxy.heal()
    await untilReady(services[1], 200)
    await publisher.untilAcknowledged(20)
    proxy.cut()
    await until(() => publisher.answers.has('503 unavailable'), 'publishes to be refused')
    proxy.heal()
    await publisher.untilAcknowledged(20)
    await checkNothingLost(t, publisher, journals)
  })

  test('a connection that answers and delivers nothing is noticed and replaced, and what was missed is filled in', async (t) => {
    const redis = await RedisServer.start(t, program)
    const proxy = await TcpProxy.start(t, redis.port)
    const deaf = await startService(t, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` })
    const other = await startService(t, { REDIS_URL: redis.url })
    const client = await connect(deaf, { query: 'room=lobby' })
    await client.next('joined')
    proxy.deafen()
    await call(other, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'unheard' } })
    t.match(await call(deaf, 'GET', '/health/ready'), { status: 200 }, 'nothing else is wrong with it')
    t.match(await client.next('message'), { text: 'unheard', offset: 1 })
    t.strictSame(deaf.app.roomcast.broker.counts, { foreign: 0, probeFailures: 1 })
    t.strictSame(other.app.roomcast.broker.counts, { foreign: 0, probeFailures: 0 })
    await call(other, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'heard' } })
    t.match(await client.next('message'), { text: 'heard', offset: 2 })
    t.match(deaf.app.roomcast.continuity.counts, { resets: 0 })
  })

  test('a publish whose answer was lost is one message, by whatever door it comes again', async (t) => {
    const redis = await RedisServer.start(t, program)
    const proxy = await TcpProxy.start(t, redis.port)
    const services = [
      await startService(t, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` }),
      await startService(t, { REDIS_URL: redis.url })
    ] as const
    const clients = await Promise.all(services.map(async (service) => await connect(service, { query: 'room=lobby' })))
    for (const client of clients) await client.next('joined')
    let key = ''
    const post = async (service: Service, data: unknown) =>
      await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { data }, headers: { 'idempotency-key': key } })

    // Where another answer is lost first, with the connection, the publish is not sent at all.
    for (let i = 0, code = ''; code !== 'publish_unknown'; i++) {
      if (i === 10) throw new Error(`no answer could be lost; the last was ${code}`)
      key = `order-${i}`
      await untilWorking(services[0])
      proxy.swallowReplies()
      code = (await post(services[0], { id: 7 })).body.code as string
      proxy.heal()
    }
    const retry = await post(services[1], { id: 7 })
    t.match(retry, { status: 201, body: { offset: 1 } })
    t.equal(retry.headers.get('idempotent-replayed'), 'true', 'it was done: only the answer was lost')
    await untilWorking(services[0])
    for (const client of clients) {
      t.match(await client.ask({ type: 'publish', room: 'lobby', data: { id: 7 }, key }), {
        type: 'ack', offset: 1, epoch: retry.body.epoch
      })
      t.match(await client.ask({ type: 'publish', room: 'lobby', data: { id: 8 }, key }), { type: 'error', code: 'idempotency_conflict' })
    }
    t.match(await post(services[0], { id: 7 }), { status: 201, body: retry.body })
    t.match(await post(services[0], { id: 8 }), { status: 422, body: { code: 'idempotency_conflict' } })
    t.equal((await call(services[1], 'GET', '/v1/rooms/lobby/messages')).body.messages.length, 1)
    for (const client of clients) {
      t.match(await client.next('message'), { offset: 1, data: { id: 7 } })
      t.notOk((await client.drain()).some((frame) => (frame as Frame).type === 'message'), 'once')
    }
  })

  test('the same publish on two instances at once is one message, with one offset in both answers', async (t) => {
    const redis = await RedisServer.start(t, program)
    const { services, clients, journals } = await startPair(t, { REDIS_URL: redis.url })
    for (let i = 1; i <= 20; i++) {
      const key = `key-${i}`
      const [first, second, third] = await Promise.all([
        ...services.map(
          async (service) =>
            await call(service, 'POST', '/v1/rooms/lobby/messages', {
              token: makeToken({ sub: 'member-0' }), body: { data: i }, headers: { 'idempotency-key': key }
            })
        ),
        clients[0]?.ask({ type: 'publish', room: 'lobby', data: i, key })
      ] as const) as [Awaited<ReturnType<typeof call>>, Awaited<ReturnType<typeof call>>, Frame]
      t.strictSame([first.body.offset, second.body.offset, third.offset], [i, i, i])
    }
    for (const journal of journals) {
      await until(() => journal.frames.length === 20)
      t.strictSame(journal.frames.map(({ data }) => data), Array.from({ length: 20 }, (_, i) => i + 1))
    }
  })

  test('who comes back to another instance gets what was missed, also what that one has not got yet', async (t) => {
    const redis = await RedisServer.start(t, program)
    const proxy = await TcpProxy.start(t, redis.port)
    const behind = await startService(t, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` })
    const ahead = await startService(t, { REDIS_URL: redis.url })
    const member = await connect(behind, { query: 'room=lobby' })
    await member.next('joined')
    const first = await connect(ahead, { query: 'room=lobby' })
    const { epoch } = await first.next('joined')
    proxy.deafen()
    for (const text of ['1', '2', '3', '4']) await call(ahead, 'POST', '/v1/rooms/lobby/messages', { body: { text } })
    // Above what the instance behind has delivered, and at or below what Redis has.
    for (const [since, missed] of [[2, 2], [4, 0], [0, 4]] as const) {
      const client = await connect(behind, { query: `room=lobby&since=${epoch}:${since}` })
      t.match(await client.next('joined'), { recovered: true, missed, offset: 4 })
      t.strictSame(
        (await client.drain()).flatMap((frame) => (frame as Frame).type === 'message' ? [(frame as Frame).text] : []),
        ['1', '2', '3', '4'].slice(since)
      )
    }
    t.strictSame(
      [1, 2, 3, 4].length,
      (await member.drain()).filter((frame) => (frame as Frame).type === 'message').length,
      'and its members with them'
    )
  })

  test('a full Redis refuses publishes, and goes on when there is room', async (t) => {
    const redis = await RedisServer.start(t, program, '--maxmemory-policy noeviction')
    const { services, journals } = await startPair(t, { REDIS_URL: redis.url })
    const publish = async (text: string) => await call(services[0], 'POST', '/v1/rooms/lobby/messages', { body: { text } })
    const { body } = await publish('a')
    await redis.command('config', 'set', 'maxmemory', 1)
    t.match(await publish('b'), { status: 503, body: { code: 'unavailable', retryable: true } })
    await publish('b')
    t.equal(
      services[0].log.filter((line) => line.includes('"level":50') && line.includes('OOM')).length,
      1,
      'the log says why, and does not repeat it each time'
    )
    await redis.command('config', 'set', 'maxmemory', 0)
    t.match((await publish('c')).body, { epoch: body.epoch, offset: 2 })
    await until(() => journals[1]?.texts.length === 2)
    t.strictSame(journals[1]?.texts, ['a', 'c'])
  })

  test('anything but noeviction is warned about', async (t) => {
    const redis = await RedisServer.start(t, program, '--maxmemory-policy allkeys-lru')
    const { log } = await startService(t, { REDIS_URL: redis.url })
    t.ok(log.some((line) => line.includes('"level":40') && line.includes('allkeys-lru') && line.includes('noeviction')))
  })

  test('an instance that was killed is counted no more', async (t) => {
    const redis = await RedisServer.start(t, program)
    const environment = { JWT_SECRET: SECRET, REDIS_URL: redis.url }
    const service = await startService(t, environment)
    const other = await startProcess(t, environment)
    const here = await connect(service)
    await here.join('lobby')
    const lost = await connect({ ...service, url: other.url, port: other.port }, { token: makeToken({ sub: 'lost' }) })
    const { epoch, offset } = await lost.join('lobby')
    await lost.join('theirs')
    t.match((await call(service, 'GET', '/v1/rooms/lobby')).body, { audience: 2 })
    t.match(await here.next('system'), { event: 'joined', user: 'lost' })
    other.child.kill('SIGKILL')
    await lost.closed
    for (const text of ['a', 'b']) await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text } })
    t.match(
      await comeBack(service, { epoch: epoch as string, offset: offset as number }),
      { recovered: true, missed: 2 },
      'whoever was there goes on here'
    )
    const deadline = Date.now() + 60_000
    for (;;) {
      const { rooms } = (await call(service, 'GET', '/v1/rooms')).body as { rooms: { room: string, audience: number }[] }
      const { audience } = (await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'a' } })).body
      if (rooms.length === 1 && rooms[0]?.audience === 1 && audience === 1) break
      if (Date.now() > deadline) throw new Error(`still there: ${JSON.stringify({ rooms, audience })}`)
      await sleep(200)
    }
    const isAboutLost = (frame: Frame): boolean => frame.type === 'system' && frame.user === 'lost'
    t.match(await here.next(isAboutLost), { room: 'lobby', event: 'left' }, 'its members are announced as gone')
    for (const deadline2 = Date.now() + 60_000; await redis.command('zcard', 'roomcast:{nodes}:registry') !== 1;) {
      if (Date.now() > deadline2) throw new Error('it stays in the registry')
      await sleep(200)
    }
    t.strictSame(
      (await redis.command('keys', '*') as string[]).filter((key) => /theirs|lost/.test(key) && !/:[ms]$/.test(key)),
      [],
      'nothing is left of it but positions'
    )
    t.strictSame((await here.drain()).filter((frame) => !Buffer.isBuffer(frame) && isAboutLost(frame)), [], 'once')
  })

  test('an instance that goes down leaves nothing behind, also while Redis is away', async (t) => {
    const redis = await RedisServer.start(t, program)
    const service = await startProcess(t, { JWT_SECRET: SECRET, REDIS_URL: redis.url, DRAIN_WINDOW_MS: '100' })
    const client = await connect({ ...(service as unknown as Service) })
    await client.join('lobby')
    service.child.kill('SIGTERM')
    t.equal(await service.exited, 0)
    t.equal(await redis.command('exists', 'roomcast:{lobby}:o'), 0)

    const second = await startProcess(t, { JWT_SECRET: SECRET, REDIS_URL: redis.url, DRAIN_WINDOW_MS: '100' })
    await (await connect({ ...(second as unknown as Service) })).join('lobby')
    await redis.kill()
    second.child.kill('SIGTERM')
    t.equal(await second.exited, 0)
  })

  test('a user is one member, whichever instances their connections are on, and moves between them unnoticed', async (t) => {
    const redis = await RedisServer.start(t, program)
    const environment = { REDIS_URL: redis.url }
    const [first, second] = [await startService(t, environment), await startService(t, environment)]
    const watcher = await connect(first, { token: makeToken({ sub: 'watcher' }) })
    await watcher.join('lobby')
    const system = async () =>
      (await watcher.drain())
        .filter((frame) => !Buffer.isBuffer(frame) && frame.type === 'system')
        .map((frame) => [(frame as Frame).event, (frame as Frame).user])
    const [one, two] = [await connect(first), await connect(second)]
    await one.join('lobby')
    t.match(await watcher.next('system'), { event: 'joined', user: 'ada' })
    await two.join('lobby')
    await two.ask({ type: 'leave', room: 'lobby' })
    await two.join('lobby')
    await one.ask({ type: 'leave', room: 'lobby' })
    await redis.command('ping')
    t.strictSame(await system(), [], 'nobody came, nobody went')
    await two.ask({ type: 'leave', room: 'lobby' })
    t.match(await watcher.next('system'), { event: 'left', user: 'ada' })

    // While the second instance goes down, bob comes back on the first; carol does not.
    const [bob, carol] = await Promise.all(['bob', 'carol'].map(async (sub) => {
      const client = await connect(second, { token: makeToken({ sub }) })
      await client.join('lobby')
      return client
    }))
    for (let i = 0; i < 2; i++) t.match(await watcher.next('system'), { event: 'joined' })
    await second.app.close()
    await Promise.all([bob?.closed, carol?.closed])
    await (await connect(first, { token: makeToken({ sub: 'bob' }) })).join('lobby')
    t.match(await watcher.next('system'), { event: 'left', user: 'carol' }, 'when it is clear that she is gone')
    t.strictSame(await system(), [], 'and of bob nothing')
  })

  test('the rights in docs/operations.md are all that the service needs', async (t) => {
    const redis = await RedisServer.start(t, program)
    const [, rule = ''] =
      /```text\nACL SETUSER roomcast ([^`]*)```/.exec(readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8')) ?? []
    await redis.command('acl', 'setuser', 'roomcast', ...rule.trim().split(/\s+/))
    await redis.command('acl', 'setuser', 'default', 'off')
    const { services, clients, journals } = await startPair(t, { REDIS_URL: redis.url.replace('//', '//roomcast:secret@') })
    for (const service of services) {
      t.equal(
        (await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'a' }, headers: { 'idempotency-key': 'k' } })).status,
        201
      )
    }
    t.match((await call(services[1], 'GET', '/v1/rooms/lobby/messages')).body, { messages: [{ text: 'a' }] })
    t.match((await call(services[1], 'GET', '/v1/rooms')).body, { rooms: [{ room: 'lobby' }] })
    t.equal((await call(services[1], 'DELETE', '/v1/rooms/lobby/messages', { token: makeToken({ rooms: { '**': ['*'] } }) })).status, 204)
    await clients[1]?.ask({ type: 'leave', room: 'lobby' })
    t.match(await clients[0]?.next(({ type, event }) => type === 'system' && event === 'left'), { user: 'member-1' })
    t.equal(journals[0]?.texts.length, 1)
    for (const { app } of services) await app.close()
    t.strictSame(await redis.command('acl', 'log'), [], 'nothing was refused')
  })
}
