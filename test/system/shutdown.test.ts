import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import type { WebSocket } from 'ws'
import { openEvents } from '../support/event-stream.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { type Client, connect, type Frame, refusal } from '../support/websocket-client.ts'
import { startProcess } from '../support/service-process.ts'

const FIXTURES = fileURLToPath(new URL('../../../test/fixtures', import.meta.url))
const UPGRADE = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
const SECRET_ENVIRONMENT = { JWT_SECRET: 'a secret of the tests, thirty-two bytes long' }

/** A bare TCP client that keeps what it gets. */
async function connectRaw (
  t: { teardown: (end: () => void) => void },
  port: number,
  request: string[]
): Promise<Socket & { text: () => string }> {
  const socket = connectTcp(port, '127.0.0.1')
  t.teardown(() => { socket.destroy() })
  let text = ''
  socket.on('data', (chunk) => { text += String(chunk) }).on('error', () => {})
  await once(socket, 'connect')
  socket.write(`${request.join('\r\n')}\r\n\r\n`)
  return Object.assign(socket, { text: () => text })
}

/** A WebSocket client that never answers a close frame: it does not read it. */
async function connectMute (t: { teardown: (end: () => void) => void }, port: number): Promise<Socket> {
  const socket = await connectRaw(t, port, [`GET /ws?room=lobby&token=${makeToken()} HTTP/1.1`, 'Host: x', ...UPGRADE])
  await until(() => socket.text().includes('joined'), 'the mute client to join')
  return socket
}

async function connectMany (service: Service, count: number): Promise<Client[]> {
  return await Promise.all(Array.from({ length: count }, async () => await connect(service, { query: 'room=lobby' })))
}

test('SIGTERM under 500 sockets: everybody is told and closed with 1001, the request in flight is answered, exit code 0', async (t) => {
  const service = await startProcess(t, {
    ...SECRET_ENVIRONMENT, DRAIN_WINDOW_MS: '1000', LOG_LEVEL: 'warn'
  }) as unknown as Service & Awaited<ReturnType<typeof startProcess>>
  const clients = await connectMany(service, 500)
  await Promise.all(clients.map(async (client) => await client.next('joined')))
  await connectMute(t, service.port)
  const body = JSON.stringify({ text: 'on the way' })
  const inFlight = await connectRaw(t, service.port, [
    'POST /v1/rooms/lobby/messages HTTP/1.1',
    'Host: x',
    `Authorization: Bearer ${makeToken()}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`
  ])

  const began = Date.now()
  service.child.kill('SIGTERM')
  const told = await Promise.all(clients.map(async (client) => await client.next('shutdown')))
  t.equal((await fetch(`${service.url}/health/ready`)).status, 503)
  t.equal((await fetch(`${service.url}/health/live`)).status, 200)
  t.equal(
    (await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'still there' } })).status,
    201,
    'publishing works until the end'
  )
  const late = await refusal(service)
  t.equal(late.status, 503)
  t.ok(late.headers['retry-after'])
  inFlight.write(body)
  await until(() => inFlight.text().includes('\r\n\r\n'), 'the answer in flight')
  t.match(inFlight.text(), /^HTTP\/1\.1 201 /)
  t.match(inFlight.text(), /connection: close/i)

  const ends = await Promise.all(clients.map(async (client) => await client.closed))
  t.ok(ends.every(({ code, reason }) => code === 1001 && reason === 'Server going down'))
  t.ok(new Set(told.map(({ retryAfterMs }) => retryAfterMs)).size > 100, 'each has its own time to come back')
  t.equal(await service.exited, 0)
  t.comment(`gone after ${Date.now() - began} ms, a mute client among them`)
})

test('SIGTERM with event streams open, one of which does not read: they are told and ended, exit code 0', async (t) => {
  const service = await startProcess(t, {
    ...SECRET_ENVIRONMENT, DRAIN_WINDOW_MS: '500', LOG_LEVEL: 'warn'
  }) as unknown as Service & Awaited<ReturnType<typeof startProcess>>
  const readers = await Promise.all(Array.from({ length: 50 }, async () => await openEvents(service, '/v1/rooms/lobby/events')))
  await Promise.all(readers.map(async (reader) => { await reader.next('joined') }))
  const mute = readers.pop()
  mute?.socket.pause()
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')

  service.child.kill('SIGTERM')
  const told = await Promise.all(readers.map(async (reader) => (await reader.next('shutdown')).frame.retryAfterMs))
  t.ok(new Set(told).size > 25, 'each has its own time to come back')
  const late = await fetch(`${service.url}/v1/rooms/lobby/events`, { headers: { authorization: `Bearer ${makeToken()}` } })
  t.equal(late.status, 503)
  t.ok(late.headers.get('retry-after'))
  t.strictSame(new Set(await Promise.all(readers.map(async (reader) => await reader.ended))), new Set([true]))
  t.ok(readers.every((reader) => reader.events.at(-1)?.frame.code === 1001))
  t.equal((await client.closed).code, 1001)
  t.equal(await service.exited, 0)
})

test('a second signal, and the deadline, end it with 1', async (t) => {
  const impatient = await startProcess(t, { ...SECRET_ENVIRONMENT, DRAIN_DELAY_MS: '60000', DRAIN_DEADLINE_MS: '60000' })
  impatient.child.kill('SIGINT')
  const ready = async () => (await fetch(`${impatient.url}/health/ready`)).status
  while (await ready() !== 503);
  impatient.child.kill('SIGINT')
  t.equal(await impatient.exited, 1)

  const stuck = await startProcess(t, { ...SECRET_ENVIRONMENT, DRAIN_DELAY_MS: '60000', DRAIN_DEADLINE_MS: '300' })
  stuck.child.kill('SIGTERM')
  t.equal(await stuck.exited, 1)
})

test('clients that never finish their requests do not delay a graceful shutdown, and its exit code is 0', async (t) => {
  for (const tls of [false, true]) {
    const service = await startProcess(t, {
      ...SECRET_ENVIRONMENT,
      ...(tls && { TLS_CERT_FILE: `${FIXTURES}/certificate.pem`, TLS_KEY_FILE: `${FIXTURES}/key.pem` }),
      DRAIN_WINDOW_MS: '200',
      DRAIN_DEADLINE_MS: '60000'
    })
    const post = [
      'POST /v1/rooms/lobby/messages HTTP/1.1', 'Host: x', `Authorization: Bearer ${makeToken()}`, 'Content-Type: application/json',
      'Content-Length: 1000'
    ].join('\r\n')
    const beginnings = [
      '', // Nothing at all.
      'G',
      'GET /health/live HTTP/1.1\r\nHost: x\r\n',
      'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n', // Idle, after its answer.
      `${post}\r\n\r\n{`,
      `${post.replace('Bearer', 'Basic')}\r\n\r\n{`,
      `${post.replace('/v1/rooms', '/nowhere')}\r\n\r\n{`,
      `${post.replace('Content-Length: 1000', 'Transfer-Encoding: chunked')}\r\n\r\n5\r\n{"te`,
      `${[`GET /ws?token=${makeToken()} HTTP/1.1`, ...UPGRADE].join('\r\n')}\r\n\r\n`, // Without a Host.
      `${['GET /ws HTTP/1.1', 'Host: x', ...UPGRADE].join('\r\n')}\r\n\r\n`
    ]
    const sockets = await Promise.all(Array.from({ length: 30 }, () => beginnings).flat().map(async (beginning) => {
      const socket = tls
        ? connectTls({ port: service.port, host: '127.0.0.1', rejectUnauthorized: false })
        : connectTcp(service.port, '127.0.0.1')
      t.teardown(() => { socket.destroy() })
      socket.on('error', () => {}).resume()
      await once(socket, tls ? 'secureConnect' : 'connect')
      socket.write(beginning)
      return socket
    }))
    // TLS handshakes that never begin.
    if (tls) sockets.push(...Array.from({ length: 30 }, () => connectTcp(service.port, '127.0.0.1').on('error', () => {}).resume()))
    const silent = sockets.filter((_, i) => i % beginnings.length === 0 && i < 30 * beginnings.length)
    t.ok(silent.every(({ destroyed }) => !destroyed))
    await sleep(500)
    service.child.kill('SIGTERM')
    t.equal(await service.exited, 0, tls ? 'over TLS' : 'in plain text')
    await Promise.all(sockets.map(async (socket) => { if (!socket.closed) await once(socket, 'close') }))
  }
})

test('during the delay for load balancers, it still takes connections', async (t) => {
  const service = await startProcess(t, {
    ...SECRET_ENVIRONMENT, DRAIN_DELAY_MS: '2000', DRAIN_WINDOW_MS: '0'
  }) as unknown as Service & Awaited<ReturnType<typeof startProcess>>
  service.child.kill('SIGTERM')
  while ((await fetch(`${service.url}/health/ready`)).status !== 503);
  const client = await connect(service)
  await client.next('shutdown')
  t.equal((await client.closed).code, 1001)
  t.equal(await service.exited, 0)
})

test('close() alone tells and closes everybody, ' +
  'and resolves with a mute client, a request in flight, a stuck handshake and a late upgrade', async (t) => {
  let stuck = 0
  const service = await startService(t, {}, (app) => {
    app.addHook('preValidation', async (request) => {
      if (!request.url.includes('stuck')) return
      stuck++
      await new Promise(() => {})
    })
  })
  const clients = await connectMany(service, 20)
  const mute = await connectMute(t, service.port)
  const stuckSocket = await connectRaw(t, service.port, [`GET /ws?stuck&token=${makeToken()} HTTP/1.1`, 'Host: x', ...UPGRADE])
  await until(() => stuck === 1, 'the handshake to be stuck')
  const body = '{"text":"x"}'
  const inFlight = await connectRaw(t, service.port, [
    'POST /v1/rooms/lobby/messages HTTP/1.1',
    'Host: x',
    `Authorization: Bearer ${makeToken()}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`
  ])
  await until(() => service.log.some((line) => line.includes('"method":"POST"')), 'the request to arrive')

  const closing = service.app.close()
  const told = await Promise.all(clients.map(async (client) => await client.next('shutdown')))
  t.ok(told.every((frame: Frame) => frame.text === 'Server restarting'))
  const late = await Promise.all([`/ws?token=${makeToken()}`, '/v1/rooms', '/nowhere'].map(async (path) =>
    await connectRaw(t, service.port, [`GET ${path} HTTP/1.1`, 'Host: x', ...UPGRADE])))
  inFlight.write(body)
  const ends = await Promise.all(clients.map(async (client) => await client.closed))
  t.ok(ends.every(({ code, reason }) => code === 1001 && reason === 'Server going down'))
  await closing
  t.match(inFlight.text(), /^HTTP\/1\.1 201 /, 'the request was answered')
  t.strictSame(late.map((socket) => socket.text().slice(9, 12)), ['503', '503', '503'], 'late upgrades are refused on every path')
  await Promise.all([mute, stuckSocket, ...late].map(async (socket) => { if (!socket.closed) await once(socket, 'close') }))
  t.pass('every socket is closed')
})

test('close() resolves at once when nobody is connected, and twice', async (t) => {
  const service = await startService(t)
  await service.app.close()
  await service.app.close()
  t.equal(service.app.roomcast.hub.connections.size, 0)
})

test('who goes down with the node is not announced as gone', async (t) => {
  const service = await startService(t)
  const [ada, bob] = [
    await connect(service, { query: 'room=lobby' }),
    await connect(service, { query: 'room=lobby', token: makeToken({ sub: 'bob' }) })
  ]
  await ada.next('joined')
  await ada.next((frame) => frame.type === 'system' && frame.user === 'bob')
  const frames: string[] = []
  ada.ws.on('message', (data: Buffer) => { frames.push(data.toString()) })
  await service.app.close()
  await Promise.all([ada.closed, bob.closed])
  t.notMatch(frames.join(), 'left')
})

test('connections that the drain has closed leave nothing behind', async (t) => {
  const service = await startService(t)
  const clients = await connectMany(service, 50)
  await service.app.close()
  t.ok(clients.every(({ ws }) => ws.readyState >= (ws.constructor as typeof WebSocket).CLOSING))
  t.equal(service.app.roomcast.hub.connections.size, 0)
  t.equal(service.app.roomcast.hub.roomCount, 0)
  t.equal(service.app.roomcast.pendingUpgrades.size, 0)
})
