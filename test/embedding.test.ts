import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import fastifyCors from '@fastify/cors'
import fastifyJwt from '@fastify/jwt'
import fastifySwagger from '@fastify/swagger'
import fastifyWebsocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import { WebSocket } from 'ws'
import roomcast, { readConfig } from '../src/app.ts'
import { openEvents, refusalOfEvents } from './support/event-stream.ts'
import { checkRoomcast, type Host, startHost } from './support/host.ts'
import { call } from './support/service.ts'
import { makeToken, SECRET } from './support/token.ts'
import { connect, refusal } from './support/websocket-client.ts'

const HOST_SECRET = 'another secret, of the application around it'

function hello (app: FastifyInstance): void {
  app.get('/hello', async () => ({ hello: 'world' }))
}

/** A WebSocket of the application's own, which says who it is and repeats what it is told. */
function echo (app: FastifyInstance): void {
  app.get('/echo', { websocket: true }, (socket) => {
    socket.on('message', (data, isBinary) => { socket.send(data as Buffer, { binary: isBinary }) })
  })
}

/** Opens the application's own WebSocket. */
async function openEcho (host: Host): Promise<WebSocket> {
  const ws = new WebSocket(`${host.url.replace('http', 'ws')}/echo`)
  ws.on('error', () => {})
  await once(ws, 'open')
  return ws
}

async function repeat (ws: WebSocket, text: string): Promise<string> {
  const answer = once(ws, 'message') as Promise<[Buffer]>
  ws.send(text)
  return (await answer)[0].toString()
}

test('under a prefix everything of Roomcast is there, and nothing of it elsewhere', async (t) => {
  const host = await startHost(t, { before: hello })
  const client = await checkRoomcast(t, host, { query: 'room=home' })
  t.match(await client.next('joined'), { room: 'home' })
  t.match(await call(host, 'GET', '/hello'), { status: 200, body: { hello: 'world' } })
  t.match(await call(host.realtime, 'GET', '/health/ready'), { status: 200, body: { status: 'ready' } })
  t.equal((await call(host.realtime, 'GET', '/docs/static/index.html')).status, 200)
  const openapi = (await call(host.realtime, 'GET', '/openapi.json')).body as { paths: object }
  t.ok(Object.keys(openapi.paths).includes('/realtime/v1/rooms/{room}/messages'))
  t.notOk(Object.keys(openapi.paths).includes('/hello'), 'the routes of the application are its own business')
  for (const path of ['/v1/rooms', '/health/ready', '/docs', '/openapi.json']) t.equal((await call(host, 'GET', path)).status, 404, path)
  t.equal((await refusal(host)).status, 404, '/ws')
})

test('event streams are under the prefix, and hooks and tokens in URLs of the application stay its own', async (t) => {
  const sent: string[] = []
  const host = await startHost(t, {
    before: (app) => {
      hello(app)
      app.addHook('onSend', async (request) => { sent.push(request.url) })
      app.addHook('onRequest', async (_request, reply) => { reply.header('x-host', 'yes') })
    }
  })
  const reader = await openEvents(host.realtime, `/v1/rooms/lobby/events?token=${makeToken()}`, { token: '' })
  t.equal(reader.response.headers['x-host'], 'yes', 'what its hooks have set')
  t.match((await reader.next('joined')).frame, { room: 'lobby' })
  t.match(await call(host.realtime, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'hi' } }), { status: 201, body: { audience: 1 } })
  await reader.text('hi')
  t.match(await call(host, 'GET', '/hello'), { status: 200 })
  t.equal((await call(host, 'GET', '/v1/rooms/lobby/events')).status, 404)
  t.match(await refusalOfEvents(host.realtime, '/v1/events?room=@nobody'), { status: 400, body: { code: 'invalid_room' } })
  t.notOk(sent.some((url) => url.startsWith('/realtime/v1/rooms/lobby/events')), 'nothing is sent that its hooks could change')
  await host.app.close()
  t.equal(await reader.ended, true)
  t.equal(reader.events.at(-1)?.frame.code, 1001)
})

test('a path that does not exist is told by whose it would be', async (t) => {
  const { realtime, ...host } = await startHost(t, {
    before: (app) => { app.setNotFoundHandler(async (_request, reply) => await reply.code(404).send('nothing')) }
  })
  t.match(await call(realtime, 'GET', '/nowhere'), { status: 404, body: { code: 'not_found' } })
  t.match(await call(realtime, 'POST', '/v1/nowhere', { body: {} }), { status: 404, body: { code: 'not_found' } })
  t.match(await call(host, 'GET', '/nowhere'), { status: 404, body: 'nothing' })
})

test('decorators, errors, bodies and hooks of the application stay as they are', async (t) => {
  const names = ['config', 'hub', 'broker', 'shutdown', 'limits', 'connections', 'continuity', 'memberships', 'authentication']
  const seen: string[] = []
  const host = await startHost(t, {
    before: (app) => {
      for (const name of names) app.decorate(name, `the application's ${name}`)
      app.decorateRequest('identity', null)
      app.setErrorHandler(async (error: Error, _request, reply) => await reply.code(418).send({ mine: error.message }))
      app.addContentTypeParser('text/plain', { parseAs: 'string' }, (_request, body, done) => { done(null, `mine: ${String(body)}`) })
      app.addHook('onSend', async (request) => { seen.push(request.url) })
    },
    after: (app) => {
      app.get('/decorators', async () => names.map((name) => app[name as 'prefix']))
      app.get('/throws', async () => { throw new Error('oops') })
      app.post('/body', async ({ body }) => ({ body }))
    }
  })
  t.strictSame((await call(host, 'GET', '/decorators')).body, names.map((name) => `the application's ${name}`))
  t.match(await call(host, 'GET', '/throws'), { status: 418, body: { mine: 'oops' } })
  t.match(await call(host, 'POST', '/body', { body: 'text', headers: { 'content-type': 'text/plain' } }), { body: { body: 'mine: text' } })
  t.match(await call(host, 'POST', '/body', { body: '{"a":1}', headers: { 'content-type': 'application/json' } }), {
    body: { body: { a: 1 } }
  })
  await checkRoomcast(t, host)
  t.match(await call(host.realtime, 'POST', '/v1/rooms/lobby/messages', { body: 'text', headers: { 'content-type': 'text/plain' } }), {
    status: 201
  })
  t.match(await call(host.realtime, 'POST', '/v1/rooms/lobby/messages', { body: '{', headers: { 'content-type': 'application/json' } }), {
    status: 400,
    body: { code: 'invalid_json' }
  })
  t.match(await call(host.realtime, 'GET', '/v1/rooms', { token: '' }), { status: 401, body: { code: 'unauthorized' } })
  t.ok(seen.includes('/throws'))
})

test('the application publishes by app.rooms, also from plugins that depend on Roomcast', async (t) => {
  const host = await startHost(t, {
    after: (app) => {
      t.ok(app.rooms, 'at once')
      app.post('/publish', async () => await app.rooms.publish('lobby', { event: 'e', data: { a: 1 } }))
    }
  })
  const client = await connect(host.realtime)
  await client.join('lobby')
  t.match(await call(host, 'POST', '/publish'), { status: 200, body: { audience: 1, position: { offset: 1 } } })
  t.match(await client.next('message'), { from: 'server', event: 'e', data: { a: 1 } })
})

for (const when of ['before', 'after'] as const) {
  test(`tokens of the application are its own, registered ${when} Roomcast`, async (t) => {
    const host = await startHost(t, {
      [when]: async (app: FastifyInstance) => {
        await app.register(fastifyJwt, { secret: HOST_SECRET })
        app.get('/me', async (request) => {
          await request.jwtVerify()
          return request.user
        })
      }
    })
    const own = host.app.jwt.sign({ sub: 'ada' })
    t.match(await call(host, 'GET', '/me', { token: own }), { status: 200, body: { sub: 'ada' } })
    t.equal((await call(host, 'GET', '/me', { token: makeToken() })).status, 401, 'ours is not one of the application')
    t.equal((await call(host.realtime, 'GET', '/v1/rooms', { token: own })).status, 401, 'nor the other way round')
    await checkRoomcast(t, host)
  })

  test(`CORS and OpenAPI of the application are its own, registered ${when} Roomcast`, async (t) => {
    const host = await startHost(t, {
      config: readConfig({ JWT_SECRET: SECRET, ALLOWED_ORIGINS: 'https://pages.example' }),
      [when]: async (app: FastifyInstance) => {
        await app.register(async (scope) => {
          await scope.register(fastifyCors, { origin: 'https://mine.example' })
          await scope.register(fastifySwagger, { openapi: { info: { title: 'Mine', version: '1' } } })
          hello(scope)
          scope.get('/mine.json', async () => scope.swagger())
        })
      }
    })
    t.match((await call(host, 'GET', '/mine.json')).body, { info: { title: 'Mine' } })
    t.equal((await call(host, 'GET', '/hello')).headers.get('access-control-allow-origin'), 'https://mine.example')
    t.match((await call(host.realtime, 'GET', '/openapi.json')).body, { info: { title: 'Roomcast' } })
    const answer = await call(host.realtime, 'GET', '/v1/rooms', { headers: { origin: 'https://pages.example' } })
    t.equal(answer.headers.get('access-control-allow-origin'), 'https://pages.example')
    await checkRoomcast(t, host)
  })
}

test('an application with OpenAPI and CORS for everything has Roomcast in it as well', async (t) => {
  const host = await startHost(t, {
    before: async (app) => {
      await app.register(fastifyCors, { origin: 'https://mine.example' })
      await app.register(fastifySwagger, { openapi: { info: { title: 'Mine', version: '1' } } })
      app.get('/mine.json', { schema: { hide: true } }, async () => app.swagger())
    }
  })
  t.match((await call(host, 'GET', '/mine.json')).body, { info: { title: 'Mine' }, paths: { '/realtime/v1/rooms': {} } })
  await checkRoomcast(t, host)
})

for (const when of ['before', 'never'] as const) {
  const registered = `its plugin registered ${when === 'never' ? 'by Roomcast' : 'before'}`

  test(`WebSockets of the application and of Roomcast live side by side, ${registered}`, async (t) => {
    const host = await startHost(t, {
      before: async (app) => { if (when === 'before') await app.register(fastifyWebsocket, { options: { maxPayload: 2_000_000 } }) },
      after: echo
    })
    const ws = await openEcho(host)
    const client = await checkRoomcast(t, host, { protocols: ['roomcast.v1', `bearer.${makeToken()}`], token: '' })
    t.equal(client.ws.protocol, 'roomcast.v1', 'never the token')
    t.equal((await repeat(ws, 'x'.repeat(1_000_000))).length, 1_000_000, 'our limits are not the application\'s')

    client.send({ type: 'chat', text: 'x'.repeat(100_000) })
    t.match(await client.closed, { code: 1009 }, 'and hold for us')
    const bare = await connect(host.realtime, { protocols: ['other'] }).catch((error: unknown) => error)
    t.match(String(bare), /no subprotocol/, 'what we do not speak is not selected')
    const compressing = await connect(host.realtime, { perMessageDeflate: true })
    t.equal(compressing.ws.extensions, '')
    t.match(await compressing.join('lobby'), { type: 'joined' })
    t.match(
      await upgradeByHand(host.port, `/realtime/ws?token=${makeToken()}`, '7'),
      /^HTTP\/1\.1 400 (.|\r\n)*Sec-WebSocket-Version: 13\r\n(.|\r\n)*"code":"invalid_request"/i
    )
    t.equal(await repeat(ws, 'still there'), 'still there')
  })

  test(`when the application closes, everybody is told and close() comes to an end, ${registered}`, async (t) => {
    const host = await startHost(t, {
      before: async (app) => { if (when === 'before') await app.register(fastifyWebsocket) },
      after: echo
    })
    const ws = await openEcho(host)
    const clients = await Promise.all(Array.from({ length: 10 }, async () => await connect(host.realtime, { query: 'room=lobby' })))
    const echoClosed = once(ws, 'close')
    // Upgrades that come while it closes: each gets an answer, and its socket ends.

    const closing = host.app.close()
    const late = upgradeByHand(host.port, '/realtime/ws')
    for (const client of clients) {
      t.match(await client.next('shutdown'), { text: 'Server restarting' })
      t.match(await client.closed, { code: 1001, reason: 'Server going down' })
    }
    await echoClosed
    await closing
    t.match(await late, /^$|^HTTP\/1\.1 503 /, 'refused, or answered')
    t.equal(host.app.server.listening, false)
  })
}

/** What the server says to an upgrade, until it ends the socket. */
async function upgradeByHand (port: number, path: string, version = '13'): Promise<string> {
  const socket = connectTcp(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Version: ${version}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
  )
  let answer = ''
  socket.on('data', (data) => { answer += String(data) })
  await once(socket, 'close')
  return answer
}

test('the clients can be let go over a window before the application closes', async (t) => {
  const host = await startHost(t, { config: readConfig({ JWT_SECRET: SECRET, DRAIN_WINDOW_MS: '100' }), before: hello })
  const client = await connect(host.realtime)
  const drained = host.app.roomcast.shutdown.drain()
  t.match(await call(host.realtime, 'GET', '/health/ready'), { status: 503, body: { status: 'leaving' } })
  t.match(await client.closed, { code: 1001 })
  await drained
  t.match(await refusal(host.realtime), { status: 503, body: { code: 'draining' } })
  const { headers, status } = await call(host, 'GET', '/hello')
  t.equal(status, 200, 'the application goes on')
  t.not(headers.get('connection'), 'close', 'and its connections are its own business')
})

test('health and docs can be left out', async (t) => {
  const { realtime } = await startHost(t, { health: false, docs: false })
  for (const path of ['/health/live', '/health/ready', '/docs', '/openapi.json']) {
    t.match(await call(realtime, 'GET', path), { status: 404, body: { code: 'not_found' } }, path)
  }
  t.equal((await call(realtime, 'GET', '/v1/rooms')).status, 200)
})

test('the log of the application has no token of ours', async (t) => {
  const host = await startHost(t)
  const token = makeToken({ sub: 'somebody' })
  await (await connect(host.realtime, { token })).join('lobby')
  await call(host.realtime, 'GET', `/v1/rooms?token=${token}`, { token: '' })
  await call(host.realtime, 'GET', `/nowhere?token=${token}`)
  t.ok(host.log.some((line) => line.includes('/realtime/ws')), 'there is a log')
  t.notOk(host.log.some((line) => line.includes(token)))
})

test('without a key Roomcast cannot be registered, and the reason is clear', async (t) => {
  const app = Fastify()
  t.throws(() => readConfig({}), /JWT_SECRET or JWT_PUBLIC_KEY is required/)
  await t.rejects(
    async () => { await app.register(roomcast, { config: { ...readConfig({ JWT_SECRET: SECRET }), keys: [] } }) },
    { name: 'InvalidConfig' }
  )
})

test('two of them in one application are refused', async (t) => {
  const app = Fastify()
  await app.register(roomcast, { prefix: '/a', config: readConfig({ JWT_SECRET: SECRET }) })
  await t.rejects(
    async () => { await app.register(roomcast, { prefix: '/b', config: readConfig({ JWT_SECRET: SECRET }) }) },
    { code: 'FST_ERR_DEC_ALREADY_PRESENT' }
  )
  await app.close().catch(() => {})
})

test('a prefix may be written with slashes or without', async (t) => {
  for (const prefix of ['realtime', '/realtime/', '/a/b', '']) {
    const { app, url } = await startHost(t, { prefix, before: hello })
    const path = prefix.replace(/^\/|\/$/g, '')
    const base = path === '' ? url : `${url}/${path}`
    t.equal((await fetch(`${base}/health/live`)).status, 200, prefix)
    await app.close()
  }
})
