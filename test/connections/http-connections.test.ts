import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import roomcast, { readConfig } from '../../src/app.ts'
import { HANDSHAKE, request } from '../support/http.ts'
import { startService } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { until } from '../support/until.ts'

interface Client {
  socket: Socket
  text: () => string
  /** Resolves with the time from the connection to its end, ms. */
  closed: Promise<number>
}

async function open (t: Test, port: number, bytes = ''): Promise<Client> {
  const socket = connectTcp(port, '127.0.0.1')
  t.teardown(() => { socket.destroy() })
  let text = ''
  socket.on('data', (chunk) => { text += String(chunk) }).on('error', () => {})
  await once(socket, 'connect')
  const start = performance.now()
  const closed = once(socket, 'close').then(() => performance.now() - start)
  socket.write(bytes)
  return { socket, text: () => text, closed }
}

/** An application with Roomcast under `/realtime`. */
async function startHost (t: Test, prepare: (app: FastifyInstance) => void = () => {}): Promise<{ app: FastifyInstance, port: number }> {
  const app = Fastify()
  prepare(app)
  await app.register(roomcast, { prefix: '/realtime', config: readConfig({ JWT_SECRET: SECRET }) })
  app.get('/slow', async () => { await once(app.server, 'go'); return 'done' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(async () => { await app.close() })
  return { app, port: (app.server.address() as { port: number }).port }
}

function post (path: string, headers: string[] = [`Authorization: Bearer ${makeToken()}`]): string {
  return request('POST', path, [...headers, 'Content-Type: text/plain', 'Content-Length: 1000'], 'a')
}

test('a header and a body that come too slowly are cut, and one that was refused soon', async (t) => {
  const service = await startService(t)
  const slow = await Promise.all([
    open(t, service.port, 'G'),
    open(t, service.port, 'GET /health/live HTTP/1.1\r\n'),
    open(t, service.port, post('/v1/rooms/lobby/messages'))
  ])
  const refused = await Promise.all([
    open(t, service.port, post('/v1/rooms/lobby/messages', [])),
    open(t, service.port, post('/v1/nowhere')),
    open(t, service.port, post('/nowhere', []))
  ])
  let ended = 0
  for (const { closed } of slow) void closed.then(() => { ended++ })
  await Promise.all(refused.map(async ({ closed }) => await closed))
  t.equal(ended, 0, 'a body that will not be read ends before all the others')
  t.strictSame(refused.map(({ text }) => text().slice(9, 12)), ['401', '404', '404'])
  await Promise.all(slow.map(async ({ closed }) => await closed))
  t.ok(slow.every(({ text }) => text().startsWith('HTTP/1.1 503 ') && text().includes('"timeout"')))
})

test('a client that still sends its refused body gets the answer, and may go on', async (t) => {
  const service = await startService(t)
  const client = await open(t, service.port, post('/v1/rooms/lobby/messages', []))
  await until(() => client.text().includes('401'), 'the refusal')
  client.socket.write('a'.repeat(999) + request('GET', '/health/live'))
  await until(() => client.text().includes('{"status":"live"}'), 'the next answer')
})

test('close() ends the idle connections of an application, whatever they have sent', async (t) => {
  const { app, port } = await startHost(t)
  const beginnings = ['', 'G', 'GET / HTTP/1.1\r\nHost: x\r\n', request('GET', '/')]
  const clients = await Promise.all(beginnings.map(async (bytes) => await open(t, port, bytes)))
  await until(() => clients.at(-1)?.text().includes('404') === true, 'the answer')
  const arrived = once(app.server, 'request')
  const slow = await open(t, port, post('/realtime/v1/rooms/lobby/messages'))
  await arrived
  const closing = app.close()
  await Promise.all(clients.map(async ({ closed }) => await closed))
  t.equal(slow.socket.destroyed, false, 'at once, and before the deadline')
  await closing
  await slow.closed
})

test("close() destroys a slow request to Roomcast at its deadline, and waits for the application's own", async (t) => {
  const { app, port } = await startHost(t)
  const arrived = once(app.server, 'request')
  const slow = await open(t, port, post('/realtime/v1/rooms/lobby/messages'))
  await arrived
  const own = await open(t, port, request('GET', '/slow'))
  await until(() => app.server.listenerCount('go') === 1, 'the request of the application')
  let isClosed = false
  const closing = app.close().then(() => { isClosed = true })
  await slow.closed
  t.equal(isClosed, false)
  t.equal(own.socket.destroyed, false)
  app.server.emit('go')
  await closing
  await own.closed
  t.match(own.text(), /^HTTP\/1\.1 200 /)
})

test('an upgrade that anything refuses is answered and ended, on every path', async (t) => {
  let isRefused = false
  const { app, port } = await startHost(t, (app) => {
    app.addHook('onRequest', async () => { if (isRefused) throw Object.assign(new Error('maintenance'), { statusCode: 503 }) })
  })
  const paths = ['/realtime/ws', '/realtime/v1/rooms', '/realtime/nowhere', '/nowhere', '/%zz', '/realtime/%zz', '/slow/../slow?x']
  for (isRefused of [false, true]) {
    const clients = await Promise.all(paths.map(async (path) => await open(t, port, request('GET', path, HANDSHAKE))))
    await Promise.all(clients.map(async ({ closed }) => await closed))
    t.ok(clients.every(({ text }) => /^HTTP\/1\.1 [45]\d\d /.test(text())), clients.map(({ text }) => text().slice(9, 12)).join())
  }
  t.equal(app.roomcast.pendingUpgrades.size, 0)
})
