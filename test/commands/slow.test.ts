import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'tap'
import type { WebSocket } from 'ws'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { close, connect, type Frame } from '../support/websocket-client.ts'
import { encodeWire, jsonWire, OPCODE, RawSocket } from '../support/raw-socket.ts'

/** What a connection may hold at most: its queue, and the batch or the page that was written when it was nearly full. */
const BOUND = 1024 * 1024 + 512 * 1024 + 128 * 1024

/** The server's end of the connections to come, by the query they came with. */
function watchSockets (service: Service): Map<string, Socket> {
  const sockets = new Map<string, Socket>()
  service.app.websocketServer.on('connection', (_ws: WebSocket, request: IncomingMessage) => {
    sockets.set(new URL(request.url ?? '', service.url).searchParams.get('name') ?? '', request.socket)
  })
  return sockets
}

test('a member that does not read is closed as a slow consumer, in bounded memory, and the others get everything', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const sockets = watchSockets(service)
  const slow = await RawSocket.open(service, { token: makeToken({ sub: 'slow' }), query: 'room=lobby&name=slow' })
  await slow.find(({ type }) => type === 'joined')
  const others = await Promise.all(
    ['ada', 'bob', 'cleo'].map(async (sub) => await connect(service, { token: makeToken({ sub }), query: 'room=lobby' }))
  )
  await Promise.all(others.map(async (client) => await client.next('joined')))
  slow.socket.pause()

  const token = makeToken({ sub: 'backend' })
  const bytes = Buffer.alloc(64_000, 'x')
  const [other] = others
  let peak = 0
  const total = 330 // 20 MB; the kernel alone takes several before anything waits
  for (let i = 1; i <= total; i++) {
    const { status } = await call(service, 'POST', '/v1/rooms/lobby/messages', { body: bytes, token })
    if (status !== 201) t.fail(`status ${status}`)
    peak = Math.max(peak, sockets.get('slow')?.writableLength ?? 0)
    await other?.nextBinary()
  }
  t.ok(peak > 1024 * 1024 && peak <= BOUND, `at most ${peak} bytes waited for it`)
  t.equal(
    (await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'end' }, token })).body.audience,
    3,
    'it is no member any more'
  )
  for (const client of others) {
    t.match(await client.next(({ event }) => event === 'left'), { user: 'slow' }, 'the others are told')
    await client.next(({ text }) => text === 'end')
    const offsets = (await client.drain())
      .filter((item): item is Frame => !Buffer.isBuffer(item) && item.type === 'message')
      .map(({ offset }) => offset)
    t.strictSame(offsets, Array.from({ length: total }, (_, i) => i + 1))
  }
  await until(() => service.app.roomcast.hub.connections.size === 3, 'its socket to be destroyed')

  // What it got before is in order and without holes.
  slow.socket.resume()
  await slow.ended
  const end = await slow.closeFrame
  t.ok(end === undefined || end.code === 4008)
  const offsets = slow.received.filter(({ opcode }) => opcode === OPCODE.text).map(({ payload }) => JSON.parse(payload.toString()) as Frame)
    .filter(({ type }) => type === 'message').map(({ offset }) => offset)
  t.strictSame(offsets, Array.from({ length: offsets.length }, (_, i) => i + 1))
  slow.socket.destroy()
})

test('a client that is slower than its room for a moment, and then reads, loses nothing', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const sockets = watchSockets(service)
  const client = await RawSocket.open(service, { query: 'room=lobby&name=late' })
  await client.find(({ type }) => type === 'joined')
  client.socket.pause()
  const bytes = Buffer.alloc(64_000)
  let sent = 0
  // As much as fits into the kernel, and half of the queue.
  while ((sockets.get('late')?.writableLength ?? 0) < 512 * 1024 && sent < 500) {
    await call(service, 'POST', '/v1/rooms/lobby/messages', { body: bytes })
    sent++
  }
  client.socket.resume()
  t.match(await client.find(({ offset, type }) => type === 'message' && offset === sent), { binary: 64_000 })
  await client.settle()
  t.equal(client.received.filter(({ opcode }) => opcode === OPCODE.binary).length, sent)
  client.socket.destroy()
})

/** What a client asks for without reading the answers. */
const FLOODS: Record<string, Buffer> = {
  'pings of the protocol': encodeWire({ opcode: OPCODE.ping, payload: Buffer.alloc(125, 'x') }),
  'ping frames': jsonWire({ type: 'ping', id: 'x'.repeat(128) }),
  'pages of history': jsonWire({ type: 'history', room: 'lobby', id: 1 }),
  'frames that are refused': jsonWire({ type: 'x'.repeat(100), id: 'x'.repeat(128) }),
  'joins and leaves': Buffer.concat([
    jsonWire({ type: 'join', room: 'x'.repeat(128) }),
    jsonWire({ type: 'leave', room: 'x'.repeat(128) })
  ]),
  messages: jsonWire({ type: 'chat', text: 'x'.repeat(500), id: 1 })
}

for (const [what, bytes] of Object.entries(FLOODS)) {
  test(`who floods with ${what} and does not read the answers is closed, in bounded memory`, async (t) => {
    const service = await startService(t, { LOG_LEVEL: 'silent', MESSAGE_RATE: '0', HISTORY_SIZE: '300' })
    const sockets = watchSockets(service)
    const bystander = await connect(service, { token: makeToken({ sub: 'bob' }) })
    for (let i = 0; i < 10; i++) await call(service, 'POST', '/v1/rooms/lobby/messages', { body: Buffer.alloc(64_000) })
    const flood = await RawSocket.open(service, { query: 'room=lobby&name=flood' })
    await flood.find(({ type }) => type === 'joined')
    flood.socket.pause()
    const chunk = Buffer.concat(Array.from({ length: Math.ceil(64_000 / bytes.length) }, () => bytes))
    let peak = 0
    for (let i = 0; i < 2_000 && !flood.socket.destroyed && service.app.roomcast.hub.connections.size > 1; i++) {
      await new Promise<void>((resolve) => {
        flood.socket.once('close', resolve)
        flood.socket.write(chunk, () => {
          flood.socket.removeListener('close', resolve)
          setImmediate(resolve)
        })
        // The server reads no more of who is being closed.
        if ([...service.app.roomcast.hub.connections].every(({ user, ended }) => user === 'bob' || ended)) resolve()
      })
      peak = Math.max(peak, sockets.get('flood')?.writableLength ?? 0)
    }
    await until(() => service.app.roomcast.hub.connections.size === 1, 'the flood to be over')
    t.ok(peak <= BOUND, `at most ${peak} bytes waited for it`)
    t.match(await bystander.ask({ type: 'ping' }), { type: 'pong' })
    flood.socket.destroy()
    await close(bystander)
  })
}
