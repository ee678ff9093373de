import { Redis } from 'ioredis'
import t, { test, type Test } from 'tap'
import type { MessageEnvelope } from '../../src/protocol/envelope.ts'
import type { Position } from '../../src/protocol/position.ts'
import type { RedisSettings } from '../../src/redis/settings.ts'
import { findRedis, type RedisProgram } from '../support/debian.ts'
import { until } from '../support/until.ts'
import { makePrefix, redisSettings } from '../support/redis-connection.ts'
import { RedisServer } from '../support/redis-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { conformance } from './conformance.ts'
import { historyOf } from './history-of.ts'
import { ConnectedBroker, type RedisBrokerSetup } from './redis-broker.ts'

const EVERYTHING = { limit: 10_000, maxBytes: 100_000_000 }
/** What `MAXLEN ~` leaves beyond the number: it removes whole nodes of the stream, of 100 messages. */
const SLACK = 100

function settingsOf (url: string): RedisSettings {
  return redisSettings({ REDIS_URL: url })
}

/** A text of ada's. */
function text (room: string, text: string, key?: string) {
  return {
    room,
    fields: Buffer.from(`"from":"ada","text":${JSON.stringify(text)}`),
    ...(key !== undefined && { idempotency: { id: key, fingerprint: 'same' } })
  }
}

const program = process.env.REDIS_URL === undefined ? findRedis(t) : undefined
if (process.env.REDIS_URL !== undefined || program !== undefined) {
  // One server for all that does not hurt it.
  const server = program === undefined ? undefined : await RedisServer.start(t, program)
  const url = server?.url ?? process.env.REDIS_URL as string

  conformance('redis', async (options) => {
    const prefix = makePrefix()
    const make = async () => await ConnectedBroker.connect({ settings: settingsOf(url), ...options, prefix })
    const [broker, other] = await Promise.all([make(), make()])
    const client = new Redis(url)
    const remove = async (pattern: string) => {
      const keys = await client.keys(pattern)
      if (keys.length > 0) await client.del(keys)
    }
    return {
      broker,
      other,
      slack: SLACK,
      loseState: async (room) => { await remove(`${prefix}{${room}}*`) },
      cleanup: async () => {
        await Promise.all([broker.close(), other.close()])
        await remove(`${prefix}*`)
        client.disconnect()
      }
    }
  })

  /** A broker, and a client to spoil its keys with. */
  const start = async (t: Test, options: Partial<RedisBrokerSetup> = {}) => {
    const prefix = makePrefix()
    const broker = await ConnectedBroker.connect({ settings: settingsOf(url), prefix, ...options })
    const client = new Redis(url)
    const envelopes: MessageEnvelope[] = []
    const positions: Position[] = []
    broker.listen((envelope) => {
      if (envelope.kind === 'message') envelopes.push(envelope)
      if (envelope.kind === 'position') positions.push(envelope.position)
    })
    t.teardown(async () => {
      await broker.close()
      const keys = await client.keys(`${prefix}*`)
      if (keys.length > 0) await client.del(keys)
      client.disconnect()
    })
    return { broker, client, prefix, envelopes, positions }
  }

  for (const [what, spoil] of Object.entries({
    'its meta was deleted': async (client: Redis, key: string) => { await client.del(`${key}:m`) },
    'its meta is something else': async (client: Redis, key: string) => { await client.set(`${key}:m`, 'something else') },
    'its meta has the wrong type': async (client: Redis, key: string) => {
      await client.del(`${key}:m`).then(async () => await client.lpush(`${key}:m`, 'a'))
    },
    'its stream was deleted': async (client: Redis, key: string) => { await client.del(`${key}:s`) },
    'its stream has the wrong type': async (client: Redis, key: string) => { await client.set(`${key}:s`, 'a') },
    'its stream is of another epoch': async (client: Redis, key: string) => {
      await client.xadd(`${key}:s`, '99999999999999999-1', 'm', 'a')
    }
  })) {
    test(`a room goes on under a new epoch when ${what}`, async (t) => {
      const { broker, client, prefix, envelopes } = await start(t)
      await broker.subscribe('lobby')
      const before = await broker.publish(text('lobby', 'a'))
      await spoil(client, `${prefix}{lobby}`)
      const after = await broker.publish(text('lobby', 'b'))
      t.not(after.position?.epoch, before.position?.epoch)
      t.equal(after.position?.offset, 1)
      t.strictSame((await broker.publish(text('lobby', 'c'))).position, { epoch: after.position?.epoch, offset: 2 })
      t.strictSame((await broker.history('lobby', { after: 0, ...EVERYTHING })).messages.map(({ offset }) => offset), [1, 2])
      await until(() => envelopes.length === 3, 'all messages')

      await spoil(client, `${prefix}{lobby}`)
      const position = await broker.position('lobby')
      if (what === 'its stream is of another epoch') return // It reads as before; the next publish notices.
      t.not(position?.epoch, after.position?.epoch, 'asking for the position notices, too')
      t.equal((await broker.history('lobby', { after: 2, epoch: after.position?.epoch as string, ...EVERYTHING })).recovered, false)
    })
  }

  test('a retry after a new epoch began is a message again: the first one is not in the history any more', async (t) => {
    const { broker, client, prefix } = await start(t)
    const first = await broker.publish(text('lobby', 'a', 'key'))
    await client.del(`${prefix}{lobby}:m`)
    const second = await broker.publish(text('lobby', 'a', 'key'))
    t.equal(second.replayed, false)
    t.not(second.position?.epoch, first.position?.epoch)
    t.strictSame(await broker.publish(text('lobby', 'a', 'key')), { ...second, replayed: true })
    t.equal((await broker.history('lobby', { after: 0, ...EVERYTHING })).messages.length, 1)
  })

  test('other keys of the wrong type are put right by the next use', async (t) => {
    const { broker, client, prefix } = await start(t)
    await broker.publish(text('lobby', 'a', 'key'))
    for (const key of await client.keys(`${prefix}{lobby}:*`)) {
      if (!/:[ms]$/.test(key)) await client.del(key).then(async () => await client.lpush(key, 'a'))
    }
    await client.lpush(`${prefix}{lobby}:o`, 'a')
    t.equal((await broker.publish(text('lobby', 'a', 'key'))).position?.offset, 2, 'what was remembered is lost, and that is all')
    t.equal((await broker.publish(text('lobby', 'a', 'key'))).replayed, true)
  })

  test('keys of the wrong type where connections are counted are put right, too', async (t) => {
    const { broker, client, prefix } = await start(t)
    const everything = { prefix: '', cursor: '', limit: 10, filter: () => true }
    await client.set(`${prefix}{lobby}:o`, 'a')
    for (let i = 0; i < 16; i++) await client.set(`${prefix}{rooms-${i}}:occupied`, 'a')
    t.equal(await broker.countElsewhere('lobby'), 0, 'who joins is not refused')
    t.strictSame(await broker.occupied(everything), { rooms: [] })
    await client.set(`${prefix}{lobby}:o`, 'a')
    broker.setOccupancy('lobby', 3)
    for (const deadline = Date.now() + 10_000; await client.hlen(`${prefix}{lobby}:o`).catch(() => 0) !== 1;) {
      if (Date.now() > deadline) throw new Error('the count is not written')
    }
    t.strictSame(await broker.occupied(everything), { rooms: [{ room: 'lobby', audience: 3 }] })
  })

  test('a top below what was delivered is an older state, and starts a new epoch', async (t) => {
    const { broker } = await start(t)
    const { position } = await broker.publish(text('lobby', 'a'))
    const seen = { epoch: position?.epoch as string, offset: 5 }
    t.strictSame(await broker.position('lobby', { ...seen, offset: 1 }), position, 'what is not below stays')
    t.strictSame(await broker.position('lobby', { epoch: 'another', offset: 5 }), position)
    const fresh = await broker.position('lobby', seen)
    t.not(fresh?.epoch, seen.epoch)
    t.equal(fresh?.offset, 0)
    t.strictSame(await broker.position('lobby', seen), fresh, 'once')
    t.strictSame((await broker.publish(text('lobby', 'b'))).position, { epoch: fresh?.epoch, offset: 1 })
  })

  test('what is not ours on a channel is dropped and counted', async (t) => {
    const { broker, client, prefix, envelopes } = await start(t)
    await broker.subscribe('lobby')
    const junk = [
      '', 'hello', '\u0001', '\u0001m', '\u0001m1-1 5', '\u0001m1-1 5\n', '\u0001m1-x 5\n\0\0\0\0\0\0', '\u0002m1-1 5\n\0\0\0\0\0\0',
      '\u0001n', '\u0001n9\nab', '\u0001x1\n', '\u0001m1-1 5\n\0\0\0\0\0\u0009ab', '\u0001m1-1 5\n\u0009\0\0\0\0\0'
    ]
    for (const message of junk) await client.publish(`${prefix}{lobby}`, message)
    await broker.publish(text('lobby', 'ours'))
    await until(() => envelopes.length > 0, 'a message')
    t.strictSame(envelopes.map(({ fields }) => fields.toString()), ['"from":"ada","text":"ours"'])
    t.equal(broker.counts.foreign, junk.length)
  })

  test('a publish whose answer was lost is sent again by itself, and is one message', async (t) => {
    const own = server ?? await RedisServer.start(t, findRedis(t) as RedisProgram)
    const proxy = await TcpProxy.start(t, own.port)
    const { broker } = await start(t, { settings: settingsOf(`redis://127.0.0.1:${proxy.port}`) })
    await broker.publish(text('lobby', 'a'))
    for (let i = 2; i <= 6; i++) {
      proxy.swallowReplies()
      const publishing = broker.publish(text('lobby', `${i}`))
      await until(() => proxy.connections < 2, 'the connection to be lost')
      proxy.heal()
      t.match(await publishing, { position: { offset: i }, replayed: false })
    }
    t.equal((await broker.history('lobby', { after: 0, ...EVERYTHING })).messages.length, 6)
  })

  test('scripts that were flushed are loaded again, and publishes keep their order', async (t) => {
    const { broker, client } = await start(t)
    await broker.publish(text('lobby', 'first'))
    const publish = async (from: number) =>
      await Promise.all(Array.from({ length: 50 }, async (_, i) => await broker.publish(text('lobby', `${from + i}`))))
    const flushing = client.script('FLUSH')
    const publishing = [publish(0)]
    await flushing
    publishing.push(publish(50))
    const offsets = (await Promise.all(publishing)).flat().map(({ position }) => position?.offset as number)
    t.strictSame(offsets, offsets.toSorted((a, b) => a - b))
    t.equal(new Set(offsets).size, 100)
  })

  test('what is too old is removed, also from rooms where little happens', async (t) => {
    const { broker, client, prefix } = await start(t, { historyOf: historyOf(1_000, 1) })
    await Promise.all(Array.from({ length: 250 }, async (_, i) => await broker.publish(text('lobby', `${i}`))))
    await new Promise((resolve) => setTimeout(resolve, 1_100)) // For the clock of Redis, which cannot be set.
    t.equal(await client.xlen(`${prefix}{lobby}:s`), 250)
    for (let i = 0; i < 5; i++) await broker.publish(text('lobby', `new ${i}`))
    t.equal(await client.xlen(`${prefix}{lobby}:s`), 5, 'a hundred at a time')
    t.strictSame((await broker.history('lobby', { ...EVERYTHING })).messages.map(({ offset }) => offset), [251, 252, 253, 254, 255])
  })

  test('everything expires, and nothing before its time', async (t) => {
    const { broker, client, prefix } = await start(t)
    const dayMs = 24 * 3_600_000
    await broker.position('asked')
    const asked = await client.pttl(`${prefix}{asked}:m`)
    t.ok(asked > 9 * 60_000 && asked <= 10 * 60_000, 'ten minutes for a position that was asked for')
    await broker.subscribe('asked')
    t.ok(await client.pttl(`${prefix}{asked}:m`) > 30 * 60_000, 'longer with members')
    await broker.publish(text('lobby', 'a', 'key'))
    broker.setOccupancy('lobby', 1)
    for (const deadline = Date.now() + 10_000; await client.pttl(`${prefix}{lobby}:o`) < 0;) {
      if (Date.now() > deadline) throw new Error('the count does not expire')
    }
    for (const key of await client.keys(`${prefix}{lobby}:*`)) t.ok(await client.pttl(key) > 0, `${key.slice(prefix.length)} expires`)
    t.ok(await client.pttl(`${prefix}{lobby}:m`) > dayMs - 60_000)
    t.ok(await client.pttl(`${prefix}{lobby}:s`) >= await client.pttl(`${prefix}{lobby}:m`) - 1_000, 'the stream not before the meta')
  })

  const givenUp = 'channels are given up some time after the last member has gone, and rooms that are left and joined again keep theirs'
  test(givenUp, async (t) => {
    const { broker, client, prefix } = await start(t)
    const channels = async () => (await client.pubsub('CHANNELS', `${prefix}*`) as string[]).length
    await Promise.all(Array.from({ length: 500 }, async (_, i) => await broker.subscribe(`room-${i}`)))
    t.equal(await channels(), 500)
    await Promise.all(Array.from({ length: 500 }, async (_, i) => await broker.unsubscribe(`room-${i}`)))
    t.equal(await channels(), 500, 'not at once')
    await broker.subscribe('room-7')
    for (const deadline = Date.now() + 20_000; await channels() > 1 && Date.now() < deadline;) {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    t.strictSame(await client.pubsub('CHANNELS', `${prefix}*`), [`${prefix}{room-7}`])
  })

  test('users and rooms of any name stay apart', async (t) => {
    const { broker, client, prefix } = await start(t)
    const rooms = ['@user:ada', '@user:a}da', '@user:{ada', '@user:ada:m', '@user:grüße 👋', '@all', 'ada', 'ada:m']
    for (const room of rooms) await broker.publish(text(room, room))
    for (const room of rooms) {
      const { messages } = await broker.history(room, { after: 0, ...EVERYTHING })
      t.strictSame(messages.map(({ fields }) => fields.toString()), [`"from":"ada","text":${JSON.stringify(room)}`])
    }
    t.equal((await client.keys(`${prefix}{*}:m`)).length, rooms.length)
  })
}
