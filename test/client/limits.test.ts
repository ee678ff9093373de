import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type Test, test } from 'tap'
import { type Client, connect, type ConnectOptions, type Status } from '../../client/node.ts'
import { startService } from '../support/service.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'

const TRANSPORTS = ['websocket', 'events'] as const

/** Starts a client that closes with the test, and records its statuses. */
function open (t: Test, url: string, options: Partial<ConnectOptions> = {}): { client: Client, statuses: Status[] } {
  const client = connect({ url, token: makeToken(), ...options })
  const statuses: Status[] = []
  client.on('status', (status) => { statuses.push(status) })
  t.teardown(() => { client.close() })
  return { client, statuses }
}

/** Simulates the events of a page for clients that connect from here on; returns a function that reports a change of network. */
function simulatePage (t: Test): () => void {
  const target = new EventTarget()
  const page = {
    document: { visibilityState: 'visible', addEventListener () {}, removeEventListener () {} },
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target)
  }
  Object.assign(globalThis, page)
  t.teardown(() => { for (const name of Object.keys(page)) Reflect.deleteProperty(globalThis, name) })
  return () => { target.dispatchEvent(new Event('online')) }
}

for (const transport of TRANSPORTS) {
  test(`over ${transport}, a client that is one too many waits for at least 30 s and says why`, async (t) => {
    const service = await startService(t, { MAX_CONNECTIONS_PER_USER: '1' })
    const first = open(t, service.url)
    await first.client.room('lobby').join()
    const { client } = open(t, service.url, { transports: [transport] })
    await until(() => client.status.state === 'waiting')
    t.match(client.status, { reason: 'connectionLimit', code: 4509 })
    t.ok((client.status.retryAt ?? 0) - Date.now() > 25_000)
    first.client.close()
    await until(() => service.app.roomcast.hub.connections.size === 0)
    client.retry()
    await client.room('lobby').join()
  })

  test(`over ${transport}, a client that changes networks replaces its dead connection under a limit`, async (t) => {
    const changeNetwork = simulatePage(t)
    const service = await startService(t, { MAX_CONNECTIONS_PER_USER: '1' })
    const network = await TcpProxy.start(t, service.port)
    const { client, statuses } = open(t, `http://127.0.0.1:${network.port}`, { transports: [transport] })
    await client.room('lobby').join()
    const dead = [...service.app.roomcast.hub.connections].at(-1)
    network.abandon()
    changeNetwork()
    await until(() => statuses.filter(({ state }) => state === 'connected').length === 2)
    t.notOk(statuses.some(({ reason }) => reason === 'connectionLimit' || reason === 'removed'))
    t.equal(dead?.closeReason, 'removed')
    await client.room('lobby').publish('here again')
  })
}

test('at the limit a client returns from event streams to a WebSocket, although its stream is replaced', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_USER: '1' })
  const { client, statuses } = open(t, service.url, { transports: ['events', 'websocket'] })
  const seen: unknown[] = []
  client.room('lobby').on('message', ({ data }) => { seen.push(data) })
  client.room('lobby').on('reset', () => { seen.push('reset') })
  await client.room('lobby').join()
  await client.room('lobby').publish(1)
  await until(() => client.status.transport === 'websocket')
  await client.room('lobby').publish(2)
  await until(() => seen.length === 2)
  t.strictSame(seen, [1, 2])
  t.notOk(statuses.some(({ state }) => state === 'waiting' || state === 'closed'))
})

test('a client that needs more event streams than the limit allows waits, and is not closed', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_USER: '1' })
  const { client } = open(t, service.url, { transports: ['events'] })
  for (let i = 0; i < 25; i++) client.room(`room-${i}`).join().catch(() => {})
  await until(() => client.status.state === 'waiting')
  t.match(client.status, { reason: 'connectionLimit', code: 4509 })
})

test('a refusal for the address is told from other refusals with 429, and a longer wait of the service is respected', async (t) => {
  const answers = [
    { code: 'connection_limit', retryAfterMs: 3_600_000 },
    { code: 'rate_limited', retryAfterMs: 7_000 },
    'x'.repeat(100_000)
  ]
  const server = createServer((_request, response) => { response.writeHead(429).end(JSON.stringify(answers[0])) })
  server.on('upgrade', (_request, socket) => {
    const body = JSON.stringify(answers[0])
    socket.on('error', () => {}).end(`HTTP/1.1 429 Too Many Requests\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const [reason, bounds] of [['connectionLimit', [3_500, 3_600]], ['overloaded', [1, 7]], ['overloaded', [-5, 31]]] as const) {
    for (const transport of TRANSPORTS) {
      const { client } = open(t, url, { transports: [transport] })
      await until(() => client.status.state === 'waiting')
      t.equal(client.status.reason, reason, `${transport} ${reason}`)
      const seconds = ((client.status.retryAt ?? 0) - Date.now()) / 1_000
      if (transport === 'events') t.ok(seconds > bounds[0] && seconds <= bounds[1], `${seconds} s`)
      client.close()
    }
    answers.shift()
  }
})
