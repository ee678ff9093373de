import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Test, test } from 'tap'
import { openEvents } from '../support/event-stream.ts'
import { findFreePort } from '../support/free-port.ts'
import { call, type Service } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { until } from '../support/until.ts'
import { type Client, connect } from '../support/websocket-client.ts'
import { IDLE_SECONDS, PRODUCTS, type Proxy, startProxy } from '../support/proxy.ts'
import { type ServiceProcess, startProcess } from '../support/service-process.ts'

async function startInstance (t: Test, environment: Record<string, string> = {}): Promise<ServiceProcess> {
  return await startProcess(t, { JWT_SECRET: SECRET, TRUST_PROXY: '1', ...environment })
}

/**
 * An instance between the beginning of its shutdown and the next check of its health. How long a real one is in between depends on
 * the machine.
 */
async function startRefusing (t: Test): Promise<{ port: number, refused: () => number }> {
  let refused = 0
  const server = createServer((request, response) => { response.writeHead(request.url === '/health/ready' ? 200 : 503).end() })
  server.on('upgrade', (_request, socket) => {
    refused++
    socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, refused: () => refused }
}

/** A client that goes away when the test is over. */
async function open (t: Test, proxy: Proxy, options: Parameters<typeof connect>[1] = {}): Promise<Client> {
  const client = await connect(proxy, options)
  t.teardown(() => { client.ws.terminate() })
  return client
}

for (const product of PRODUCTS) {
  test(`behind ${product.name}`, async (t) => {
    const program = product.find(t)
    if (program === undefined) return

    await t.test('REST and WebSocket pass, large batches too', async (t) => {
      const instance = await startInstance(t)
      const proxy = await startProxy(t, product, program, [instance.port, instance.port])
      const client = await open(t, proxy, { query: 'room=lobby' })
      await client.next('joined')
      t.equal((await call(proxy, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'hello' } })).status, 201)
      t.match(await client.next('message'), { text: 'hello' })
      client.send({ type: 'chat', text: 'hi' })
      t.match(await client.next('message'), { text: 'hi' })
      const text = 'x'.repeat(60_000)
      const messages = Array.from({ length: 16 }, () => ({ room: 'lobby', text }))
      t.equal((await call(proxy, 'POST', '/v1/messages', { body: { messages } })).status, 201)
      for (let count = 0; count < 16; count++) t.equal((await client.next('message')).text, text)
    })

    await t.test("the service sees the client's address, and not one that the client made up", async (t) => {
      const instance = await startInstance(t)
      const proxy = await startProxy(t, product, program, [instance.port, instance.port])
      await open(t, proxy, { localAddress: '127.0.0.5', headers: { 'x-forwarded-for': '203.0.113.9' } })
      await until(() => instance.stdout().includes('"remoteAddress":"127.0.0.5"'), 'the address in the log')
      t.notMatch(instance.stdout(), '203.0.113.9')
    })

    await t.test('no line of its log has the token of a URL, of connections that fail neither', async (t) => {
      const instance = await startInstance(t)
      const proxy = await startProxy(t, product, program, [instance.port, instance.port])
      const token = makeToken()
      const client = await open(t, proxy, { token })
      client.ws.close()
      await client.closed
      await until(() => / \/ws\b.* 101 /.test(proxy.output()), 'the line in the log')
      t.notMatch(proxy.output(), token)

      const failing = await startProxy(t, product, program, [await findFreePort(), await findFreePort()])
      t.match((await fetch(`${failing.url}/ws?token=${token}`)).status, /^50[23]$/)
      await until(() => / \/ws\b.* 50[23] /.test(failing.output()), 'the line in the log')
      t.notMatch(failing.output(), token)
    })

    await t.test('the heartbeat keeps an idle connection open', async (t) => {
      const [beating, silent] = await Promise.all([
        startInstance(t, { HEARTBEAT_SECONDS: '1' }),
        startInstance(t, { HEARTBEAT_SECONDS: '0' })
      ])
      const [kept, cut] = await Promise.all([
        startProxy(t, product, program, [beating.port, beating.port]),
        startProxy(t, product, program, [silent.port, silent.port])
      ])
      const client = await open(t, kept)
      const other = await open(t, cut)
      await other.closed
      await once(client.ws, 'ping')
      await once(client.ws, 'ping')
      t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
    })

    await t.test('event streams pass at once, are left when their reader goes, and go on at the other instance', async (t) => {
      const [staying, leaving] = await Promise.all([
        startInstance(t, { HEARTBEAT_SECONDS: '1' }),
        startInstance(t, { HEARTBEAT_SECONDS: '1', DRAIN_WINDOW_MS: '500' })
      ])
      const proxy = await startProxy(t, product, program, [leaving.port, leaving.port])
      const reader = await openEvents(proxy, '/v1/rooms/lobby/events')
      const goer = await openEvents(proxy, '/v1/rooms/lobby/events')
      await Promise.all([reader.next('joined'), goer.next('joined')])
      goer.close()
      const audience = async () => (await call(leaving as unknown as Service, 'GET', '/v1/rooms/lobby')).body.audience as number
      while (await audience() !== 1);
      t.equal((await call(proxy, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'x'.repeat(60_000) } })).status, 201)
      await reader.next('message')
      await reader.until(() => reader.parser.comments >= IDLE_SECONDS + 2, 'more comments than it may be idle for')
      const both = await startProxy(t, product, program, [leaving.port, staying.port])
      leaving.child.kill('SIGTERM')
      t.match(await reader.next('close'), { frame: { code: 1001 } })
      t.equal(await reader.ended, true)
      const back = await openEvents(both, '/v1/rooms/lobby/events', { headers: { 'last-event-id': reader.lastEventId } })
      t.match(await back.next('joined'), { frame: { recovered: false } }, 'which has no history of it without Redis')
      back.close()
    })

    await t.test('an instance that refuses connections, and still counts as ready, costs no client its connection', async (t) => {
      const staying = await startInstance(t)
      const leaving = await startRefusing(t)
      const proxy = await startProxy(t, product, program, [leaving.port, staying.port])
      for (let count = 1; count <= 4; count++) {
        const client = await open(t, proxy, { query: 'room=lobby' })
        t.match(await client.next('joined'), { audience: count })
      }
      t.ok(leaving.refused() > 0, 'it was asked for some of them')
    })

    await t.test('when an instance goes down, all of its clients come back through the other one', async (t) => {
      const [staying, leaving] = await Promise.all([startInstance(t), startInstance(t, { DRAIN_WINDOW_MS: '1000' })])
      const proxy = await startProxy(t, product, program, [staying.port, leaving.port])
      const enter = async (): Promise<Client> => {
        const client = await open(t, proxy, { query: 'room=lobby' })
        await client.next('joined')
        return client
      }
      const audience = async (service: ServiceProcess): Promise<number> =>
        (await call(service as unknown as Service, 'GET', '/v1/rooms/lobby')).body.audience
      const clients = await Promise.all(Array.from({ length: 10 }, enter))
      const leavers = await audience(leaving)
      t.ok(leavers > 0 && leavers < 10, 'they are spread over both')

      const ends: object[] = []
      const back: Promise<Client>[] = []
      for (const client of clients) {
        void client.closed.then((end) => {
          if (back.length === leavers) return // The test is over.
          ends.push(end)
          back.push(enter()) // At once: the instance that it came from may still listen.
        })
      }
      leaving.child.kill('SIGTERM')
      t.equal(await leaving.exited, 0)
      await until(() => back.length === leavers, 'those who were there to be closed')
      t.strictSame(ends, Array.from({ length: leavers }, () => ({ code: 1001, reason: 'Server going down' })))
      await Promise.all(back)
      t.equal(await audience(staying), 10)
      await enter() // With nobody listening there any more.
      await enter()
    })
  })
}
