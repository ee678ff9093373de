import { setTimeout as sleep } from 'node:timers/promises'
import t, { test, type Test } from 'tap'
import type { Envelope } from '../../src/protocol/envelope.ts'
import { findRedis, type RedisProgram } from '../support/debian.ts'
import { makePrefix, redisSettings } from '../support/redis-connection.ts'
import { RedisServer } from '../support/redis-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { historyOf } from './history-of.ts'
import { ConnectedBroker } from './redis-broker.ts'

/** Replies that each test loses. */
const LOST = 4

/** A broker whose replies a proxy can lose, and another one that hears the messages. */
async function start (t: Test, program: RedisProgram) {
  const redis = await RedisServer.start(t, program)
  const proxy = await TcpProxy.start(t, redis.port)
  const prefix = makePrefix()
  const connect = async (port: number) => {
    const settings = redisSettings({ REDIS_URL: `redis://127.0.0.1:${port}` })
    const broker = await ConnectedBroker.connect({ settings, prefix, historyOf: historyOf(0) })
    t.teardown(async () => { await broker.close() })
    return broker
  }
  const [broker, hearing] = [await connect(proxy.port), await connect(redis.port)]
  const heard: string[] = []
  hearing.listen((envelope: Envelope) => {
    if (envelope.kind === 'notice') heard.push(envelope.frame)
    if (envelope.kind === 'message') heard.push(envelope.fields.toString())
  })
  await hearing.subscribe('lobby')
  return { redis, proxy, broker, hearing, heard }
}

/** A message of which only the name matters. */
function message (name: string) {
  return { room: 'lobby', fields: Buffer.from(name) }
}

const program = findRedis(t)

if (program !== undefined) {
  test('a notice whose reply was lost is not sent again, and the next one is sent', async (t) => {
    const { proxy, broker, heard } = await start(t, program)
    const notify = async (frame: string) => { await broker.notify({ kind: 'notice', room: 'lobby', frame }) }
    let lost = 0
    // Another reply may be lost first, with the connection: then the notice is sent over the next one.
    for (let i = 0; lost < LOST && i < 5 * LOST; i++) {
      proxy.swallowReplies()
      const sent = notify(`lost ${i}`)
      await until(() => proxy.connections < 2, 'the connection to be lost')
      proxy.heal()
      await sent.catch((error: unknown) => {
        t.match(error, { code: 'unavailable' })
        lost++
      })
      await notify(`sent ${i}`)
    }
    await until(() => heard.at(-1)?.startsWith('sent') === true)
    t.equal(lost, LOST)
    t.strictSame(heard, [...new Set(heard)], 'each is heard once')
    t.ok(heard.some((frame) => frame.startsWith('lost')), 'also when the reply is lost')
  })

  test('a message to a room without history is sent again to a server that remembers it, and arrives once', async (t) => {
    const { proxy, broker, heard } = await start(t, program)
    for (let i = 0; i < LOST; i++) {
      proxy.swallowReplies()
      const published = broker.publish(message(`${i}`))
      await until(() => proxy.connections < 2, 'the connection to be lost')
      proxy.heal()
      t.match(await published, { position: undefined, replayed: false })
    }
    await until(() => heard.length >= LOST)
    t.strictSame(heard, ['0', '1', '2', '3'])
  })

  test('it is not sent again to a server that has forgotten it', async (t) => {
    const { redis, proxy, broker, hearing, heard } = await start(t, program)
    for (let isLost = false; !isLost;) {
      heard.length = 0
      await broker.publish(message('before'))
      proxy.swallowReplies()
      const published = broker.publish(message('uncertain'))
      await until(() => proxy.connections < 2, 'the connection to be lost')
      await hearing.publish(message('marker'))
      await until(() => heard.includes('marker'))
      isLost = heard.includes('uncertain')
      if (isLost) {
        await redis.kill()
        await redis.start()
      }
      proxy.heal()
      if (isLost) await t.rejects(published, { code: 'publish_unknown' })
      else await published // Another reply was lost first.
    }
    for (let i = 0; heard.at(-1) !== 'after'; i++) { // The other broker has to subscribe again.
      if (i > 0) await sleep(50)
      await hearing.publish(message('after')).catch(() => {})
    }
    t.equal(heard.filter((name) => name === 'uncertain').length, 1)
  })
}
