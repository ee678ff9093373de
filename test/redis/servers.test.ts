import t, { test } from 'tap'
import { readText } from '../../src/redis/reply.ts'
import { script } from '../../src/redis/script.ts'
import { findRedis } from '../support/debian.ts'
import { connectToRedis, makePrefix, redisSettings } from '../support/redis-connection.ts'
import { RedisServer } from '../support/redis-server.ts'

const program = findRedis(t)

if (program !== undefined) {
  test('a script that is registered after the connect is loaded ahead of the next command', async (t) => {
    const server = await RedisServer.start(t, program)
    const { servers, ...redis } = await connectToRedis(redisSettings({ REDIS_URL: server.url }), makePrefix())
    t.teardown(() => { servers.close() })
    const early = String(await server.command('info', 'server'))
    const late = script('return ARGV[1] .. ARGV[2]', 'always')
    t.equal(readText(await servers.runScript(late, [redis.keys.lease], ['!'])), `${/run_id:(\w+)/.exec(early)?.[1]}!`)
    t.match(await server.command('info', 'errorstats'), /^(?!.*NOSCRIPT)/s, 'without a failed attempt')
  })
}
