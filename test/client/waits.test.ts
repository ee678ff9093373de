import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Test, test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { connect, type ConnectOptions } from '../../client/node.ts'
import { until } from '../support/until.ts'

const WELCOME = JSON.stringify({ type: 'welcome', connection: 'c', origin: 'o', user: 'ada', expiresAt: 1, heartbeatMs: 0, rooms: [] })

const JOINED = '{"type":"joined","room":"lobby","audience":1}'

/** A service that treats each connection in the same wrong way. */
interface Wrong {
  socket?: (ws: WebSocket) => void
  events?: { status: number, headers?: Record<string, string>, body: string }
  rest?: { status: number, headers?: Record<string, string>, body: string }
}

/** The waits of a client at a service, ms. Its random numbers are as large as they can be. */
async function waitsAt (t: Test, { socket, events, rest }: Wrong, options: Partial<ConnectOptions>): Promise<number[]> {
  const server = createServer((request, response) => {
    const isStream = request.url?.startsWith('/v1/events') === true
    const { status, headers, body } = (isStream ? events : rest) ?? { status: 200, body: `data: ${WELCOME}\n\ndata: ${JOINED}\n\n` }
    request.resume()
    response.writeHead(status, headers)
    response.write(body)
    if (!isStream || events !== undefined) response.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, stream, head) => {
    sockets.handleUpgrade(request, stream, head, (ws) => {
      ws.on('error', () => {})
      socket?.(ws)
    })
  })
  const random = Math.random
  Math.random = () => 0.999
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = connect({ url, token: () => 'token', backoff: { firstMs: 1 }, ...options })
  t.teardown(() => {
    Math.random = random
    client.close()
    for (const ws of sockets.clients) ws.terminate()
    server.close()
    server.closeAllConnections()
  })
  const waits: number[] = []
  client.on('status', ({ state, retryAt = 0 }) => { if (state === 'waiting') waits.push(retryAt - Date.now()) })
  client.room('lobby').join().catch(() => {})
  client.room('lobby').publish(1).catch(() => {})
  await until(() => waits.length >= 7, JSON.stringify(client.status))
  return waits
}

const SOCKETS: Record<string, (ws: WebSocket) => void> = {
  'a shutdown with a wait of 0': (ws) => {
    ws.send(WELCOME)
    ws.send('{"type":"shutdown","text":"","retryAfterMs":0}')
    ws.close(1001)
  },
  'no JSON': (ws) => { ws.send('<html>') },
  'a welcome and no JSON': (ws) => { ws.send(WELCOME); ws.send('null') },
  'two welcomes and an end': (ws) => { ws.send(WELCOME); ws.send(WELCOME); ws.close(1011) },
  'answers of the wrong type': (ws) => {
    ws.send(WELCOME)
    ws.on('message', () => { ws.send('{"type":"ack","room":"lobby","id":1}') })
  },
  'bytes without a header': (ws) => { ws.send(WELCOME); ws.send(new Uint8Array(3)) },
  'a header and a text': (ws) => {
    ws.send(WELCOME)
    ws.send('{"type":"message","room":"lobby","from":"a","time":1,"binary":3}')
    ws.send(WELCOME)
  }
}

for (const [name, socket] of Object.entries(SOCKETS)) {
  test(`a service that sends ${name} is asked again after growing waits`, async (t) => {
    const waits = await waitsAt(t, { socket }, { transports: ['websocket'] })
    t.ok(waits.slice(-2).every((ms) => ms >= 2 && ms < 10_000), waits.join())
  })
}

const past = { 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }
const STREAMS: Record<string, Wrong> = {
  'a refusal with Retry-After: 0': { events: { status: 503, headers: { 'retry-after': '0' }, body: '' } },
  'a refusal with a time in the past': { events: { status: 503, headers: past, body: '' } },
  'a refusal with retryAfterMs: 0': { events: { status: 429, body: '{"code":"overloaded","retryAfterMs":0}' } },
  'a page for people': { events: { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>\n\n</html>' } },
  'a shutdown with a wait of 0': {
    events: { status: 200, body: `data: ${WELCOME}\n\ndata: {"type":"shutdown","text":"","retryAfterMs":0}\n\n` }
  },
  'replies with Retry-After: 0': { rest: { status: 503, headers: { 'retry-after': '0' }, body: '' } },
  'replies of another service': { rest: { status: 200, body: '{"time":1}' } },
  'replies for people': { rest: { status: 404, body: '<html>' } },
  'no JSON': { events: { status: 200, body: `data: ${WELCOME}\n\ndata: <html>\n\n` } }
}

for (const [name, wrong] of Object.entries(STREAMS)) {
  test(`an event stream with ${name} is opened again after growing waits`, async (t) => {
    const waits = await waitsAt(t, wrong, { transports: ['events'] })
    t.ok(waits.slice(-2).every((ms) => ms >= 2 && ms < 10_000), waits.join())
  })
}
