import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'tap'
import { call, type Service } from '../support/service.ts'
import { SECRET } from '../support/token.ts'
import { connect } from '../support/websocket-client.ts'
import { PRODUCTION, spawnServer, startProcess } from '../support/service-process.ts'
import { until } from '../support/until.ts'

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
  for (const environment of [PRODUCTION, { HOST: '0.0.0.0' }] as Record<string, string>[]) {
    const service = spawnServer(t, environment)
    t.equal(await service.exited, 1)
    t.match(service.stderr(), /^roomcast: Invalid configuration: JWT_SECRET or JWT_PUBLIC_KEY is required[^\n]*\n$/)
    t.equal(service.stdout(), '')
  }
})

test('bad configuration is refused in one line that names every fault', async (t) => {
  const service = spawnServer(t, {
    PORT: '70000',
    MESSAGE_RATE: 'fast',
    LOG_LEVEL: 'loud',
    JWT_SECRET: 'short',
    NODE_ENV: 'production',
    ALLOWED_ORIGINS: 'example.com',
    REDIS_URL: 'http://localhost'
  })
  t.equal(await service.exited, 1)
  t.equal(service.stderr().trim().split('\n').length, 1)
  for (const name of ['PORT', 'MESSAGE_RATE', 'LOG_LEVEL', 'JWT_SECRET', 'ALLOWED_ORIGINS', 'DEFAULT_GRANTS', 'REDIS_URL']) {
    t.match(service.stderr(), name)
  }
})

test('a port in use is refused in one line', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => { other.close() })
  const { port } = other.address() as AddressInfo
  const service = spawnServer(t, { PORT: String(port), JWT_SECRET: SECRET, LOG_LEVEL: 'silent' })
  t.equal(await service.exited, 1)
  t.match(service.stderr(), new RegExp(`^roomcast: PORT=${port} .*EADDRINUSE.*:${port}\\)\n$`))
})

test('an address that is none of this machine is refused in one line that names HOST', async (t) => {
  for (const HOST of ['192.0.2.1', 'none.invalid']) {
    const service = spawnServer(t, { HOST, JWT_SECRET: SECRET, LOG_LEVEL: 'silent' })
    t.equal(await service.exited, 1)
    t.match(service.stderr(), new RegExp(`^roomcast: HOST=${HOST} .*\n$`))
  }
})

test('in production standard output is JSON, with one line about the start', async (t) => {
  const service = await startProcess(t, {
    ...PRODUCTION,
    JWT_SECRET: SECRET,
    ALLOWED_ORIGINS: 'https://a.example,https://b.example',
    MESSAGE_RATE: '7',
    HISTORY_SZIE: '5'
  })
  await until(() => service.stdout().includes(`${service.port}"}\n`), 'the whole line')
  const lines = service.stdout().trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
  const [start, ...others] = lines.filter(({ msg }) => /^Roomcast \S+ listens on /.test(String(msg)))
  t.strictSame(others, [])
  t.match(start, {
    version: /^\d+\.\d+\.\d+$/,
    broker: 'memory',
    origins: ['https://a.example', 'https://b.example'],
    limits: { MESSAGE_RATE: 7, MESSAGE_BURST: 200, MAX_MESSAGE_BYTES: 65_536, UPGRADES_PER_MINUTE: 0 }
  })
  t.notMatch(JSON.stringify(start), SECRET)
  t.ok(lines.some(({ level, msg }) => level === 40 && /^HISTORY_SZIE is not a setting/.test(String(msg))), 'warnings are in the log')
  t.equal(service.stderr(), '')
})

test('without DOCS there is no documentation', async (t) => {
  const service = await startProcess(t, { JWT_SECRET: SECRET, DOCS: 'false' })
  t.notMatch(service.stdout(), 'documentation')
  for (const path of ['/docs', '/docs/', '/openapi.json']) t.equal((await fetch(`${service.url}${path}`)).status, 404, path)
})

test('an unknown name in .env is named', async (t) => {
  const folder = t.testdir({ '.env': 'PAGE_SIZE=5\nREDIS_SERVICE_HOST=10.0.0.1\n' })
  const service = spawnServer(t, { JWT_SECRET: SECRET }, undefined, folder)
  await until(() => service.stdout().includes('listens on'), 'the service to listen')
  t.match(service.stdout(), /"PAGE_SIZE in \.env is not a setting/)
  t.notMatch(service.stdout(), /REDIS_SERVICE_HOST/)
})
