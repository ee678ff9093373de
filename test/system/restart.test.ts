import { test } from 'tap'
import type { Client, Status } from '../../client/index.ts'
import { connect } from '../../client/node.ts'
import { findRedis } from '../support/debian.ts'
import { findFreePort } from '../support/free-port.ts'
import { call, type Service } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { until } from '../support/until.ts'
import { RedisServer } from '../support/redis-server.ts'
import { startProcess } from '../support/service-process.ts'

const CLIENTS = 200

/** A client in the room, and what it has seen. */
interface Visitor {
  client: Client
  seen: string[]
  resets: number
  waits: number[]
}

test(`the service is restarted under ${CLIENTS} clients: all come back, each in its own time, and nothing is lost`, async (t) => {
  const program = findRedis(t)
  if (program === undefined) return
  const redis = await RedisServer.start(t, program)
  const environment = {
    JWT_SECRET: SECRET,
    REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    PORT: String(await findFreePort()),
    DRAIN_WINDOW_MS: '1000'
  }
  let service = await startProcess(t, environment)
  const publish = async (text: string): Promise<void> => {
    const { status } = await call(service as unknown as Service, 'POST', '/v1/rooms/lobby/messages', { body: { text } })
    if (status !== 201) throw new Error(`answered with ${status}`)
  }
  const visitors = Array.from({ length: CLIENTS }, (_, i): Visitor => {
    const client = connect({
      url: service.url,
      token: () => makeToken({ sub: `visitor-${i}` }),
      transports: i % 4 === 0 ? ['events'] : ['websocket', 'events']
    })
    const visitor: Visitor = { client, seen: [], resets: 0, waits: [] }
    const room = client.room('lobby')
    room.on('message', ({ text }) => { visitor.seen.push(text ?? '') })
    room.on('reset', () => { visitor.resets++ })
    client.on('status', ({ state, retryAt = 0 }: Status) => { if (state === 'waiting') visitor.waits.push(retryAt - Date.now()) })
    t.teardown(() => { client.close() })
    return visitor
  })
  await Promise.all(visitors.map(async ({ client }) => await client.room('lobby').join()))

  const expected: string[] = []
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const visitor of visitors) visitor.waits = []
    for (const when of ['before', 'after']) {
      expected.push(`${when} ${signal}`)
      await publish(`${when} ${signal}`)
      if (when === 'after') continue
      service.child.kill(signal)
      await service.exited
      service = await startProcess(t, environment)
    }
    await until(() => visitors.every(({ seen }) => seen.length === expected.length), 'everybody to have everything')
    for (const { seen, resets } of visitors) {
      if (seen.join() !== expected.join() || resets > 0) t.fail(`saw ${seen.join()} and ${resets} resets`)
    }
    const first = visitors.map(({ waits: [wait = -1] }) => wait)
    const longest = Math.max(...first)
    t.ok(longest <= 30_000 && Math.min(...first) >= 0, `${signal}: everybody waits, up to ${longest} ms`)
    const buckets = new Set(first.map((wait) => Math.floor(wait / longest * 10)))
    t.ok(buckets.size >= 8, `${signal}: they are spread over that time`)
    t.strictSame(visitors.filter(({ client }) => client.status.state !== 'connected').length, 0)
  }
})
