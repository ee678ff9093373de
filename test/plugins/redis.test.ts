import { createRequire } from 'node:module'
import t, { test } from 'tap'
import { findRedis } from '../support/debian.ts'
import { type Service, startService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { connect } from '../support/websocket-client.ts'

const program = findRedis(t)

// First, because the helpers of the other tests load ioredis.
test('without settings of Redis, nothing of ioredis is loaded', async (t) => {
  const { app } = await startService(t)
  t.equal(Reflect.get(app.roomcast, 'redis'), undefined)
  t.strictSame(Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes('/ioredis/')), [])
})

if (program !== undefined) {
  const { RedisServer } = await import('../support/redis-server.ts')

  test('the broker leaves the lists of occupied rooms before the connection to Redis is closed', async (t) => {
    const redis = await RedisServer.start(t, program)
    const service = await startService(t, { REDIS_URL: redis.url })
    const client = await connect(service)
    await client.join('lobby')
    await until(async () => await redis.command('exists', 'roomcast:{lobby}:o') === 1, 'the count to be written')
    await service.app.close()
    t.equal(await redis.command('exists', 'roomcast:{lobby}:o'), 0)
    await until(async () => !String(await redis.command('client', 'list')).includes('name=roomcast'), 'the connections to be closed')
  })

  test('the first instance after a loss removes the state of the lost one, its members included', async (t) => {
    const redis = await RedisServer.start(t, program)
    await redis.command('zadd', 'roomcast:{nodes}:registry', 1, 'lost')
    await redis.command('sadd', 'roomcast:{node-lost}:rooms', 'lobby')
    await redis.command('hset', 'roomcast:{lobby}:p', 'lost ada', 1)
    await redis.command('hset', 'roomcast:{lobby}:u', 'ada', 1)
    const { app } = await startService(t, { REDIS_URL: redis.url })
    await until(async () => await redis.command('zscore', 'roomcast:{nodes}:registry', 'lost') === null, 'the lost instance to be cleared')
    t.equal(await redis.command('exists', 'roomcast:{lobby}:p', 'roomcast:{lobby}:u', 'roomcast:{node-lost}:rooms'), 0)
    t.equal(await redis.command('zcard', 'roomcast:{nodes}:registry'), 1, 'the instance is registered')
    await app.close()
  })

  test('instances with different policies of rooms notice it, and an instance without policies is none of them', async (t) => {
    const redis = await RedisServer.start(t, program)
    await redis.command('set', 'roomcast:{nodes}:policies', 'another type')
    await redis.command('zadd', 'roomcast:{nodes}:registry', Date.now(), 'an earlier version')
    const warnings = ({ log }: Service): string[] => log.filter((line) => line.includes('other policies of rooms'))
    const first = await startService(t, { REDIS_URL: redis.url })
    const same = await startService(t, { REDIS_URL: redis.url })
    t.strictSame([...warnings(first), ...warnings(same)], [])

    const other = await startService(t, { REDIS_URL: redis.url, HISTORY_SIZE: '5' })
    t.match(warnings(other), [/"level":40.*"2 other instances have other policies of rooms: set HISTORY_SIZE, .* and ROOMS_FILE/])
    await until(() => warnings(first).length > 0 && warnings(same).length > 0, 'the others to notice it')
    t.match(warnings(first), [/"1 other instance has other policies/])

    const others = await startService(t, { REDIS_URL: redis.url, HISTORY_SIZE: '5' })
    t.equal(warnings(others).length, 1)
    const since = Date.now()
    await until(async () => await redis.command('zcount', 'roomcast:{nodes}:registry', since, '+inf') === 4, 'a heartbeat of each')
    t.strictSame([first, same, other].map((service) => warnings(service).length), [1, 1, 1], 'the same difference is told once')
  })

  test('the digest of a lost instance is removed', async (t) => {
    const redis = await RedisServer.start(t, program)
    await redis.command('zadd', 'roomcast:{nodes}:registry', 1, 'lost')
    await redis.command('hset', 'roomcast:{nodes}:policies', 'lost', 'others')
    const { app, log } = await startService(t, { REDIS_URL: redis.url })
    await until(async () => await redis.command('zscore', 'roomcast:{nodes}:registry', 'lost') === null, 'the lost instance to be cleared')
    t.equal(await redis.command('hlen', 'roomcast:{nodes}:policies'), 1)
    t.notOk(log.some((line) => line.includes('other policies')), 'a lost instance is not compared')
    await app.close()
  })
}
