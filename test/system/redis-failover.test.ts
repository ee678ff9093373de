import { Cluster } from 'ioredis'
import t, { test } from 'tap'
import { conformance } from '../broker/conformance.ts'
import { ConnectedBroker } from '../broker/redis-broker.ts'
import { conformance as presenceConformance } from '../presence/conformance.ts'
import { makeRedisPresence } from '../presence/redis-presence.ts'
import { findRedis } from '../support/debian.ts'
import { call } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { connect } from '../support/websocket-client.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { makePrefix, redisSettings } from '../support/redis-connection.ts'
import { RedisSentinels } from '../support/redis-sentinel.ts'
import { checkNothingLost, Journal, Publisher, startPair } from './load.ts'

const program = findRedis(t)

if (program !== undefined) {
  // One cluster for all that does not hurt it.
  const shared = await RedisCluster.start(t, program, { replicas: 0 })

  conformance('redis cluster', async (options) => {
    const prefix = makePrefix()
    const settings = redisSettings({ REDIS_CLUSTER: shared.seeds })
    const make = async () => await ConnectedBroker.connect({ settings, prefix, ...options })
    const [broker, other] = await Promise.all([make(), make()])
    const client = new Cluster([{ host: '127.0.0.1', port: shared.nodes[0]?.port as number }])
    return {
      broker,
      other,
      slack: 100, // See the tests of the Redis broker.
      loseState: async (room) => { await client.del(`${prefix}{${room}}:m`, `${prefix}{${room}}:s`) },
      cleanup: async () => {
        await Promise.all([broker.close(), other.close()])
        client.disconnect()
      }
    }
  })

  presenceConformance('redis cluster', async () => await makeRedisPresence(redisSettings({ REDIS_CLUSTER: shared.seeds }), makePrefix()))

  test('slots that move to another master under load take their rooms along, and nothing is lost', async (t) => {
    const { services, journals } = await startPair(t, { REDIS_CLUSTER: shared.seeds })
    const publisher = new Publisher(services)
    await publisher.untilAcknowledged(20)
    await shared.moveSlot('roomcast:{lobby}')
    await publisher.untilAcknowledged(100)
    await checkNothingLost(t, publisher, journals)
    t.strictSame([...publisher.answers.keys()], ['201'])
    for (const { resets } of journals) t.equal(resets.length, 1, 'another server, another epoch')
  })

  test('when a master of a cluster is killed under load, its replica takes over, and members are told', async (t) => {
    const cluster = await RedisCluster.start(t, program)
    const { services, clients, journals } = await startPair(t, { REDIS_CLUSTER: cluster.seeds })
    const publisher = new Publisher(services)
    await publisher.untilAcknowledged(20)
    const old = await cluster.failOver('roomcast:{lobby}')
    await publisher.untilAcknowledged(50)
    await old.start()
    await cluster.settled()
    await publisher.untilAcknowledged(50)
    await publisher.stop()
    // What the old master had acknowledged and not yet passed on would be lost, and the reset says so; of what came later, nothing.
    const { body } = await call(services[1], 'GET', '/v1/rooms/lobby')
    for (const journal of journals) {
      await until(() => journal.resets.length === 1 && journal.frames.at(-1)?.offset === body.offset, 'the last message')
      t.equal(journal.broken, undefined, 'one unbroken order')
      t.match(journal.resets, [{ reason: 'epoch', epoch: body.epoch, offset: 0 }])
    }

    await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map(async (room) => await clients[0]?.join(room)))
    t.strictSame(
      (await call(services[1], 'GET', '/v1/rooms')).body.rooms.map(({ room }: { room: string }) => room),
      ['a', 'b', 'c', 'd', 'e', 'f', 'lobby'],
      'rooms of all masters'
    )
    for (const room of ['a', 'b', 'c', 'd', 'e', 'f']) {
      await call(services[1], 'POST', `/v1/rooms/${room}/messages`, { body: { text: `hello ${room}` } })
      t.match(await clients[0]?.next((frame) => frame.type === 'message' && frame.room === room), { text: `hello ${room}` })
    }
  })

  test('a planned failover in a cluster under load loses no message and fails no publish', async (t) => {
    const cluster = await RedisCluster.start(t, program)
    const { services, journals } = await startPair(t, { REDIS_CLUSTER: cluster.seeds })
    const publisher = new Publisher(services)
    await publisher.untilAcknowledged(20)
    await cluster.handOver('roomcast:{lobby}')
    await publisher.untilAcknowledged(50)
    await checkNothingLost(t, publisher, journals)
    t.strictSame([...publisher.answers.keys()], ['201'])
  })

  test('when the master that sentinels watch is killed under load, the service follows to the new one', async (t) => {
    const sentinels = await RedisSentinels.start(t, program)
    const { services, journals } = await startPair(t, { REDIS_SENTINELS: sentinels.seeds, REDIS_SENTINEL_NAME: sentinels.name })
    const publisher = new Publisher(services)
    await publisher.untilAcknowledged(20)
    const { epoch, offset } = (await call(services[0], 'GET', '/v1/rooms/lobby')).body
    const before = { epoch, offset }
    await sentinels.failOver()
    await publisher.untilAcknowledged(50)
    await publisher.stop()
    const late = await connect(services[0], { token: makeToken({ sub: 'late' }) })
    await late.join('lobby')
    const journal = new Journal(late, 'lobby')
    const { body } = await call(services[1], 'POST', '/v1/rooms/lobby/messages', { body: { text: 'after all' } })
    for (const member of [...journals, journal]) {
      await until(() => member.texts.includes('after all'), 'the last message')
      t.equal(member.frames.at(-1)?.offset, body.offset)
      t.equal(member.broken, undefined, 'one unbroken order')
    }
    t.strictSame(journals.map(({ resets }) => resets.length), [1, 1])
    t.match(await late.ask({ type: 'join', room: 'lobby', since: before }), { recovered: false, epoch: body.epoch, offset: body.offset })
  })
}
