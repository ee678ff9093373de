import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'tap'
import { call, type Service } from '../support/service.ts'
import { SECRET } from '../support/token.ts'
import { connect } from '../support/websocket-client.ts'
import { spawnServer, startProcess } from '../support/service-process.ts'

test('without any configuration it prints its URL and a token that may do everything', async (t) => {
  const service = await startProcess(t, {}) as unknown as Service & { stdout: () => string }
  const [token] = /^eyJ\S+$/m.exec(service.stdout()) ?? ['']
  t.match(service.stdout(), /^Roomcast \d+\.\d+\.\d+ listens on http:\/\/127\.0\.0\.1:\d+/m)
  t.match(service.stdout(), new RegExp(`^const ws = new WebSocket\\('ws://127\\.0\\.0\\.1:${service.port}/ws\\?room=lobby&token=`, 'm'))

  const client = await connect(service, { token, query: 'room=lobby' })
  await client.next('joined')
  for (const path of ['/v1/rooms/lobby/messages', '/v1/broadcast', '/v1/users/dev/messages']) {
    t.equal((await call(service, 'POST', path, { token, body: { text: path } })).status, 201, path)
    t.match(await client.next('message'), { text: path, from: 'dev' })
  }
  t.equal((await call(service, 'DELETE', '/v1/rooms/lobby/messages', { token })).status, 204)
})

test('with a secret it prints no token', async (t) => {
  const service = await startProcess(t)
  t.notMatch(service.stdout(), /eyJ/)
  t.equal((await fetch(`${service.url}/health/ready`)).status, 200)
})

test('it refuses to start without a secret where somebody else could reach it', async (t) => {
  for (const environment of [{ NODE_ENV: 'production' }, { HOST: '0.0.0.0' }] as Record<string, string>[]) {
    const service = spawnServer(t, environment)
    t.equal(await service.exited, 1)
    t.match(service.stderr(), /^roomcast: Invalid configuration: JWT_SECRET or JWT_PUBLIC_KEY is required[^\n]*\n$/)
    t.equal(service.stdout(), '')
  }
})

test('bad configuration is refused in one line that names every fault', async (t) => {
  const service = spawnServer(t, { PORT: '70000', MESSAGE_RATE: 'fast', LOG_LEVEL: 'loud', JWT_SECRET: 'short', NODE_ENV: 'production', ALLOWED_ORIGINS: 'example.com', REDIS_URL: 'http://localhost' })
  t.equal(await service.exited, 1)
  t.equal(service.stderr().trim().split('\n').length, 1)
  for (const name of ['PORT', 'MESSAGE_RATE', 'LOG_LEVEL', 'JWT_SECRET', 'ALLOWED_ORIGINS', 'REDIS_URL']) t.match(service.stderr(), name)
})

test('a port in use is refused in one line', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => { other.close() })
  const { port } = other.address() as AddressInfo
  const service = spawnServer(t, { PORT: String(port), JWT_SECRET: SECRET, LOG_LEVEL: 'silent' })
  t.equal(await service.exited, 1)
  t.match(service.stderr(), new RegExp(`^roomcast: .*EADDRINUSE.*:${port}\n$`))
})
