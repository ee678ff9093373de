import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { RedisBroker } from '../../src/broker/redis.ts'
import { conformance } from './conformance.ts'

const port = Number(process.env.TEST_REDIS_PORT)

conformance('redis', async (options) => {
  const prefix = `test-${randomBytes(6).toString('hex')}:`
  const make = async () => await RedisBroker.connect({
    ...options,
    settings: { kind: 'single', addresses: [{ host: '127.0.0.1', port }], database: 0, tls: false, durable: false },
    prefix,
    onEvent: (level, message, error) => { console.error(level, message, error) }
  })
  const broker = await make()
  const other = await make()
  const client = new Redis(port)
  const removeAll = async (pattern: string) => {
    const keys = await client.keys(pattern)
    if (keys.length > 0) await client.del(keys)
  }
  return {
    broker,
    other,
    slack: 100,
    cleanup: async () => {
      await Promise.all([broker.close(), other.close()])
      await removeAll(`${prefix}*`)
      client.disconnect()
    },
    loseState: async (room) => { await removeAll(`${prefix}{${room}}*`) }
  }
})
