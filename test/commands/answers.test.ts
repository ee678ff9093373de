import t, { test, type Test } from 'tap'
import { findRedis } from '../support/debian.ts'
import { RedisServer } from '../support/redis-server.ts'
import { call, type Service, startService } from '../support/service.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { type Client, connect, type Frame } from '../support/websocket-client.ts'

/** Time by which published messages come after the replies of Redis, ms. */
const DELAY_MS = 40
/** A delay longer than an answer waits, ms. */
const LONG_DELAY_MS = 3_000

/** A service whose broker may deliver late, and another one for its rooms; in memory, the same one. */
interface Setup {
  service: Service
  other: Service
  /** Delays the messages for the first service from here on. */
  delay: (ms: number) => void
  /** Lets the rooms begin again. */
  flush: () => Promise<unknown>
}

type Start = (t: Test, environment?: Record<string, string>) => Promise<Setup>

const SETTINGS = { MESSAGE_RATE: '0', LOG_LEVEL: 'silent' }

const startInMemory: Start = async (t, environment) => {
  const service = await startService(t, { ...SETTINGS, ...environment })
  return { service, other: service, delay: () => {}, flush: async () => {} }
}

const program = findRedis(t)

const startWithRedis: Start = async (t, environment) => {
  if (program === undefined) throw new Error('there is no Redis')
  const redis = await RedisServer.start(t, program)
  const proxy = await TcpProxy.start(t, redis.port)
  const settings = { ...SETTINGS, ...environment }
  const [service, other] = await Promise.all([
    startService(t, { ...settings, REDIS_URL: `redis://127.0.0.1:${proxy.port}` }),
    startService(t, { ...settings, REDIS_URL: redis.url })
  ])
  return { service, other, delay: (ms) => { proxy.delaySubscriptions(ms) }, flush: async () => await redis.command('flushall') }
}

/** A member, and all the frames that it gets from here on. */
async function member (service: Service, sub: string): Promise<{ client: Client, frames: Frame[] }> {
  const client = await connect(service, { token: makeToken({ sub }), query: 'room=lobby' })
  await client.next('joined')
  const frames: Frame[] = []
  client.ws.on('message', (data: Buffer) => { frames.push(JSON.parse(data.toString()) as Frame) })
  return { client, frames }
}

/** In one word for each frame of the kinds that matter here: the type and the offset. */
function words (frames: Frame[]): string[] {
  return frames.filter(({ type }) => type !== 'system').map(({ type, offset }) => `${type} ${String(offset)}`)
}

/** Finds answers that came before a message that they are about. */
function earlyAnswers (frames: Frame[]): Frame[] {
  const seen = new Set<unknown>()
  return frames.filter(({ type, offset, messages }) => {
    if (type === 'message') seen.add(offset)
    return (type === 'ack' && !seen.has(offset)) ||
      (type === 'history' && (messages as Frame[]).some((message) => !seen.has(message.offset)))
  })
}

for (const [broker, start] of Object.entries({ memory: startInMemory, ...(program !== undefined && { redis: startWithRedis }) })) {
  test(`an ack comes after its own message, and a page after every message on it (${broker})`, async (t) => {
    const { service, other, delay } = await start(t)
    const [{ client, frames }, bob] = [await member(service, 'ada'), await member(other, 'bob')]
    delay(DELAY_MS)
    for (let i = 0; i < 300; i++) {
      client.send({ type: 'chat', text: `${i}`, id: i })
      bob.client.send({ type: 'chat', text: 'b' })
      if (i % 10 === 0) client.send({ type: 'history', room: 'lobby', limit: 3, id: `page ${i}` })
    }
    await until(() => frames.filter(({ type }) => type === 'ack').length === 300 && frames.some(({ id }) => id === 'page 290'))
    t.strictSame(earlyAnswers(frames), [])
    t.strictSame(frames.filter(({ type }) => type === 'ack').map(({ id }) => id), Array.from({ length: 300 }, (_, i) => i), 'in order')
  })

  test(`an ack without a message of its own comes after all messages before it (${broker})`, async (t) => {
    const { service, other, delay } = await start(t)
    const { client, frames } = await member(service, 'ada')
    delay(DELAY_MS)
    for (let offset = 1; offset < 20; offset += 2) {
      await call(other, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'of another' } })
      t.match(await client.ask({ type: 'publish', room: 'lobby', data: 1, echo: false }), { type: 'ack', offset: offset + 1 })
    }
    t.strictSame(words(frames), Array.from({ length: 20 }, (_, i) => i % 2 === 0 ? `message ${i + 1}` : `ack ${i + 1}`))
  })

  test(`the ack of a retry comes after the message of the first attempt, and keeps its place (${broker})`, async (t) => {
    const { service, other, delay } = await start(t)
    const { client, frames } = await member(service, 'ada')
    delay(DELAY_MS)
    const retry = { type: 'publish', room: 'lobby', data: 1, key: 'k' }
    await call(other, 'POST', '/v1/rooms/lobby/messages', { body: { data: 1 }, headers: { 'idempotency-key': 'k' } })
    t.match(await client.ask(retry), { type: 'ack', offset: 1 })
    client.send({ type: 'chat', text: 'second', id: 2 })
    client.send({ ...retry, id: 3 })
    await until(() => frames.some(({ id }) => id === 3))
    t.strictSame(words(frames), ['message 1', 'ack 1', 'message 2', 'ack 2', 'ack 1'])
  })

  test(`in a room without history an ack comes after its own message, too (${broker})`, async (t) => {
    const { service, delay } = await start(t, { HISTORY_SIZE: '0' })
    const { client, frames } = await member(service, 'ada')
    delay(DELAY_MS)
    for (let i = 0; i < 100; i++) client.send({ type: 'chat', text: `${i}`, id: `${i}` })
    await until(() => frames.some(({ id }) => id === '99'))
    const seen = new Set<unknown>()
    t.strictSame(frames.filter(({ type, text, id }) => type === 'message' ? !seen.add(text) : type === 'ack' && !seen.has(id)), [])
    t.equal(seen.size, 100)
  })
}

if (program !== undefined) {
  test('in a new epoch an ack comes after the reset and its own message', async (t) => {
    const { service, delay, flush } = await startWithRedis(t)
    const { client, frames } = await member(service, 'ada')
    await client.ask({ type: 'chat', text: 'before' })
    await flush()
    delay(DELAY_MS)
    await client.ask({ type: 'chat', text: 'after' })
    t.strictSame(words(frames), ['message 1', 'ack 1', 'reset 0', 'message 1', 'ack 1'])
  })

  test('an ack and a page leave early when the messages are late, and their offsets show it', async (t) => {
    const { service, delay } = await startWithRedis(t)
    const { client, frames } = await member(service, 'ada')
    await client.ask({ type: 'chat', text: 'first' })
    delay(LONG_DELAY_MS)
    const [ack, page] = await Promise.all([
      client.ask({ type: 'chat', text: 'late' }),
      client.ask({ type: 'history', room: 'lobby', after: 1 })
    ])
    t.match(ack, { type: 'ack', offset: 2, epoch: /^\d+$/ })
    t.match(page, { type: 'history', messages: [{ offset: 2 }] })
    await until(() => frames.some(({ type, offset }) => type === 'message' && offset === 2))
    t.strictSame(words(frames).toSpliced(2, 2), ['message 1', 'ack 1', 'message 2'], 'the message comes behind them')
  })

  test('in a room without history an ack leaves early when its message is late', async (t) => {
    const { service, delay } = await startWithRedis(t, { HISTORY_SIZE: '0' })
    const { client, frames } = await member(service, 'ada')
    delay(LONG_DELAY_MS)
    t.match(await client.ask({ type: 'chat', text: 'late' }), { type: 'ack' })
    await until(() => frames.some(({ type }) => type === 'message'))
    t.strictSame(frames.map(({ type }) => type), ['ack', 'message'])
  })

  test('an ack does not wait for a room that its client has left', async (t) => {
    const { service, delay } = await startWithRedis(t)
    const { client, frames } = await member(service, 'ada')
    delay(LONG_DELAY_MS)
    client.send({ type: 'chat', text: 'mine', id: 1 })
    // This answer comes behind the answer to the publish.
    await until(async () => (await call(service, 'GET', '/v1/rooms/lobby/messages')).body.messages.length === 1)
    await client.ask({ type: 'leave', room: 'lobby' })
    t.strictSame(words(frames), ['ack 1', 'left undefined'])
  })
}
