import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Test, test } from 'tap'
import { createPublisher, type PublisherOptions, RoomcastError } from '../../client/publisher/index.ts'
import { findFreePort } from '../free-port.ts'
import { connect, makeToken, type Service, startService } from '../helper.ts'
import { TcpProxy } from '../tcp-proxy.ts'

const token = (): string => makeToken({ sub: 'backend', rooms: { '**': ['*'], '@all': ['publish'], '@user:*': ['publish'] } })

function makePublisher (url: string, options: Partial<PublisherOptions> = {}): ReturnType<typeof createPublisher> {
  return createPublisher({ url, token, ...options })
}

async function texts (service: Service, room = 'lobby'): Promise<unknown[]> {
  const { page: { messages } } = await service.app.rooms.history(service.app.rooms.server, room)
  return messages.map(({ fields }) => (JSON.parse(`{${fields.toString()}}`) as { text: unknown }).text)
}

/** A server in front of the service that may answer itself; it counts connections. */
async function startFront (t: Test, service: Service, answer: (request: IncomingMessage, response: ServerResponse, count: number) => boolean): Promise<{ url: string, requests: () => number, connections: () => number, bodies: string[] }> {
  let requests = 0
  let connections = 0
  const bodies: string[] = []
  const server = createServer((request, response) => {
    const count = ++requests
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => { chunks.push(chunk) })
    request.on('end', () => {
      bodies.push(Buffer.concat(chunks).toString())
      if (answer(request, response, count)) return
      const { host: _, connection: __, ...headers } = request.headers
      fetch(`${service.url}${request.url}`, { method: 'POST', headers: headers as Record<string, string>, body: Buffer.concat(chunks) })
        .then(async (answer) => { response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(await answer.text()) })
        .catch(() => { response.destroy() })
    })
  }).listen(0, '127.0.0.1')
  server.on('connection', () => { connections++ })
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: () => requests, connections: () => connections, bodies }
}

test('texts, data and bytes reach the members of a room, everybody, and a user', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  t.teardown(() => { client.ws.terminate() })
  await client.next('joined')
  const publisher = makePublisher(`${service.url}/`)
  t.match(await publisher.publish('lobby', { text: 'hi' }), { room: 'lobby', offset: 1, audience: 1, replayed: false })
  t.match(await client.next('message'), { text: 'hi', from: 'backend' })
  await publisher.publish('lobby', { data: { id: 1 }, event: 'made' })
  t.match(await client.next('message'), { data: { id: 1 }, event: 'made' })
  await publisher.publish('lobby', { bytes: new Uint8Array([0, 255]), event: 'raw' })
  t.match(await client.next('message'), { event: 'raw', binary: 2 })
  t.strictSame(await client.nextBinary(), Buffer.from([0, 255]))
  await publisher.broadcast({ text: 'everybody' })
  t.match(await client.next('message'), { room: '@all', text: 'everybody' })
  await publisher.toUser('ada', { text: 'only you' })
  t.match(await client.next('message'), { room: '@user', text: 'only you' })
  await publisher.publish('lobby', { text: 'not you' }, { exclude: 'a-tab-of-somebody' })
})

test('the same key is the same message, and another message with it is refused at once', async (t) => {
  const service = await startService(t)
  const publisher = makePublisher(service.url)
  const first = await publisher.publish('lobby', { text: 'once' }, { key: 'k' })
  t.match(await publisher.publish('lobby', { text: 'once' }, { key: 'k' }), { offset: first.offset, replayed: true })
  await t.rejects(publisher.publish('lobby', { text: 'other' }, { key: 'k' }), { code: 'idempotency_conflict', retryable: false })
  t.strictSame(await texts(service), ['once'])
})

test('a message whose answer is lost is sent again, and is one message', async (t) => {
  const service = await startService(t)
  const network = await TcpProxy.start(t, service.port)
  const publisher = makePublisher(`http://127.0.0.1:${network.port}`)
  await publisher.publish('lobby', { text: '1' })
  network.swallowReplies()
  const publishing = publisher.publish('lobby', { text: '2' })
  const batch = publisher.batch([{ room: 'lobby', text: '3' }, { room: 'lobby', text: '4' }])
  setTimeout(() => { network.heal() }, 200)
  await publishing
  await batch
  t.strictSame((await texts(service)).sort(), ['1', '2', '3', '4'])
})

test('what may succeed later is tried again, after as long as the service says; what cannot, is not', async (t) => {
  const service = await startService(t)
  const front = await startFront(t, service, (_request, response, count) => {
    if (count === 1) response.writeHead(503, { 'content-type': 'application/problem+json' }).end('{"code":"unavailable","detail":"away","retryable":true}')
    else if (count === 2) response.writeHead(429, { 'retry-after': '0' }).end('too many')
    else if (count === 3) response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>')
    return count <= 3
  })
  const publisher = makePublisher(front.url)
  t.match(await publisher.publish('lobby', { text: 'hi' }), { offset: 1 })
  t.equal(front.requests(), 4)
  const reader = makePublisher(front.url, { token: makeToken({ rooms: { '**': ['join'] } }) })
  await t.rejects(reader.publish('lobby', { text: 'hi' }), { name: 'RoomcastError', code: 'forbidden', retryable: false })
  await t.rejects(publisher.publish('no such name', { text: 'hi' }), { code: 'invalid_room' })
  t.equal(front.requests(), 6)
})

test('who gives up says whether the message may be there', async (t) => {
  const service = await startService(t)
  const refusing = await startFront(t, service, (_request, response) => {
    response.writeHead(503, { 'content-type': 'application/problem+json' }).end('{"code":"unavailable","detail":"away","retryable":true}')
    return true
  })
  await t.rejects(makePublisher(refusing.url, { giveUpMs: 0 }).publish('lobby', { text: 'hi' }), { code: 'unavailable' }, 'certainly not')
  const silent = await startFront(t, service, () => true)
  await t.rejects(makePublisher(silent.url, { giveUpMs: 0, timeoutMs: 50 }).publish('lobby', { text: 'hi' }), { code: 'unknown' }, 'perhaps')
  await t.rejects(makePublisher(`http://127.0.0.1:${await findFreePort()}`, { giveUpMs: 0 }).publish('lobby', { text: 'hi' }), { code: 'unavailable' }, 'nobody is there')
  const [result] = await makePublisher(silent.url, { giveUpMs: 0, timeoutMs: 50 }).batch([{ room: 'lobby', text: 'hi' }])
  t.match(result, { code: 'unknown' })
  const aborting = new AbortController()
  const aborted = makePublisher(silent.url).publish('lobby', { text: 'hi' }, { signal: aborting.signal })
  aborting.abort()
  await t.rejects(aborted, { name: 'AbortError' })
})

test('a token that was refused is renewed once, and one that holds is asked for once', async (t) => {
  const service = await startService(t)
  let asked = 0
  const publisher = makePublisher(service.url, { token: async () => makeToken({ ...(++asked === 1 && { exp: 1 }) }) })
  await Promise.all([1, 2, 3].map(async (n) => await publisher.publish('lobby', { text: String(n) })))
  t.equal(asked, 2)
  await publisher.publish('lobby', { text: 'more' })
  t.equal(asked, 2)
  await t.rejects(makePublisher(service.url, { token: 'bad' }).publish('lobby', { text: 'hi' }), { code: 'unauthorized' })
})

test('a batch of any size keeps its order, and one bad message does not spoil the others', async (t) => {
  const service = await startService(t)
  const front = await startFront(t, service, (_request, response, count) => {
    if (count === 2) response.writeHead(503).end()
    return count === 2
  })
  const items = Array.from({ length: 250 }, (_, i) => ({ room: i % 2 === 0 ? 'even' : 'odd', text: String(i) }))
  const results = await makePublisher(front.url).batch([...items.slice(0, 120), { room: 'not a name', text: 'x' }, { room: 'even' } as never, ...items.slice(120)])
  t.equal(results.length, 252)
  t.match(results[120], { code: 'invalid_room' })
  t.match(results[121], { code: 'invalid_request' })
  t.equal(results.filter((result) => !(result instanceof RoomcastError)).length, 250)
  t.strictSame(await texts(service, 'even'), items.filter(({ room }) => room === 'even').map(({ text }) => text))
  t.strictSame(await texts(service, 'odd'), items.filter(({ room }) => room === 'odd').map(({ text }) => text))
  t.equal(front.requests(), 4)

  const large = Array.from({ length: 30 }, (_, i) => ({ room: 'large', text: `${i} ${'ü'.repeat(30_000)}` }))
  t.strictSame((await makePublisher(service.url).batch(large)).map((result) => (result as { offset: number }).offset), large.map((_, i) => i + 1))
})

test('messages of a batch that may succeed later are sent again, with their keys and without the others', async (t) => {
  const service = await startService(t)
  const front = await startFront(t, service, (_request, response, count) => {
    if (count > 1) return false
    const problem = { code: 'unavailable', detail: 'away', retryable: true }
    response.writeHead(207, { 'content-type': 'application/json' }).end(JSON.stringify({ results: [{ room: 'lobby', offset: 1, epoch: 'e', time: 1, audience: 0 }, { error: problem }, { error: problem }] }))
    return true
  })
  const results = await makePublisher(front.url).batch([1, 2, 3].map((n) => ({ room: 'lobby', text: String(n) })))
  t.match(results, [{ offset: 1 }, { offset: 1 }, { offset: 2 }])
  t.strictSame(await texts(service), ['2', '3'])
  const [first, second] = front.bodies.map((body) => JSON.parse(body).messages.map(({ key }: { key: string }) => key) as string[])
  t.strictSame(second, first?.slice(1))
})

test('a message is exactly one of text, data and bytes', async (t) => {
  const publisher = makePublisher('http://127.0.0.1:1')
  for (const content of [{}, { text: 'a', data: 1 }, { event: 'e' }]) await t.rejects(publisher.publish('lobby', content as never), { code: 'invalid_request' })
})

test('messages one after the other go over connections that are open', async (t) => {
  const service = await startService(t)
  const front = await startFront(t, service, () => false)
  const publisher = makePublisher(front.url)
  for (let i = 0; i < 20; i++) await publisher.publish('lobby', { text: String(i) })
  t.ok(front.connections() <= 2, `${front.connections()} connections`)
})
