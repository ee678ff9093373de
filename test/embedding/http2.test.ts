import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { test } from 'tap'
import { startHost } from '../support/host.ts'
import { Http2Client } from '../support/http2-client.ts'
import { until } from '../support/until.ts'
import { connect } from '../support/websocket-client.ts'

// Compiled tests are in dist/test/embedding/.
const fixture = (name: string): Buffer => readFileSync(new URL(`../../../test/fixtures/${name}`, import.meta.url))
const TLS = { https: { allowHTTP1: true, cert: fixture('certificate.pem'), key: fixture('key.pem') } }
/** A request for a WebSocket (RFC 8441, section 5). */
const EXTENDED_CONNECT = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/realtime/ws', ':authority': 'a' }
const FORBIDDEN = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings']

for (const [name, options] of [['plain', {}], ['TLS', TLS]] as const) {
  test(`every route answers over HTTP/2 without headers of HTTP/1.1, ${name}`, async (t) => {
    const host = await startHost(t, {
      fastify: { http2: true, return503OnClosing: false, ...options },
      before: (app) => {
        app.addHook('onRequest', async (_request, reply) => { reply.headers({ 'keep-alive': 'timeout=5', 'x-host': 'yes' }) })
        app.addHook('onSend', async (_request, reply) => { reply.header('connection', 'keep-alive') })
      }
    })
    const client = new Http2Client(t, host.url)
    const checkAll = async (stage: string): Promise<void> => {
      for (const [method, path, status, body] of [
        ['GET', '/ws', 426],
        ['HEAD', '/ws', 426],
        ['POST', '/v1/rooms/lobby/messages', 201, { text: 'hi' }],
        ['POST', '/v1/messages', 207, { messages: [{ room: 'lobby', text: 'hi' }, { room: '' }] }],
        ['POST', '/v1/rooms/lobby/messages', 400, { text: 1 }],
        ['GET', '/v1/rooms/lobby/messages', 200],
        ['DELETE', '/v1/rooms/other/messages', 403],
        ['GET', '/v1/rooms', 200],
        ['GET', '/v1/events?room=@nobody', 400],
        ['GET', '/health/live', 200],
        ['GET', '/docs', 302],
        ['GET', '/docs/', 200],
        ['GET', '/docs/static/swagger-ui.css', 200],
        ['GET', '/docs/static/none', 404],
        ['GET', '/openapi.json', 200],
        ['GET', '/nowhere', 404],
        ['OPTIONS', '/v1/rooms', 204]
      ] as const) {
        const answer = await client.call(method, `/realtime${path}`, { body })
        t.equal(answer.status, status, `${method} ${path}, ${stage}`)
        t.equal(answer.headers['x-host'], 'yes', 'the headers of the application are kept')
        t.strictSame(FORBIDDEN.filter((header) => header in answer.headers), [], `${method} ${path}, ${stage}`)
        if (status >= 400 && method !== 'HEAD') t.equal(answer.json.status, status)
      }
    }
    await checkAll('open')
    await host.app.roomcast.shutdown.drain()
    await checkAll('draining')
  })

  test(`event streams work over HTTP/2 until the application closes, ${name}`, async (t) => {
    const host = await startHost(t, { fastify: { http2: true, ...options } })
    const client = new Http2Client(t, host.url)
    const reader = await client.openEvents('/realtime/v1/events?room=lobby&protocol=roomcast.v1')
    t.match(reader.headers, { ':status': 200, 'content-type': 'text/event-stream; charset=utf-8' })
    t.match(await reader.next('welcome'), { user: 'ada' })
    t.match(await reader.next('joined'), { room: 'lobby' })
    const text = 'x'.repeat(20_000)
    for (let i = 1; i <= 20; i++) {
      t.match((await client.call('POST', '/realtime/v1/rooms/lobby/messages', { body: { text } })).json, { offset: i, audience: 1 })
    }
    const messages = () => reader.events.filter(({ type }) => type === 'message')
    await until(() => messages().length === 20, 'all messages')
    const [{ lastEventId } = { lastEventId: '' }] = messages()
    const resumed = await client.openEvents(`/realtime/v1/events?room=lobby&since=${lastEventId}`)
    t.match(await resumed.next('joined'), { recovered: true, missed: 19 })
    await until(() => resumed.events.filter(({ type }) => type === 'message').length === 19, 'the missed messages')

    resumed.stream.close()
    await until(() => host.app.roomcast.hub.connections.size === 1, 'the end of the stream that the client closed')
    await host.app.close()
    await reader.ended
    t.match(await reader.next('close'), { code: 1001 })
  })
}

test('an event stream over HTTP/2 whose reader is slow is ended, and the others are not', async (t) => {
  const host = await startHost(t, { fastify: { http2: true } })
  const client = new Http2Client(t, host.url)
  const slow = await new Http2Client(t, host.url).openEvents('/realtime/v1/events?room=lobby')
  const reader = await client.openEvents('/realtime/v1/events?room=lobby')
  await Promise.all([slow.next('joined'), reader.next('joined')])
  slow.stream.pause()
  const text = 'x'.repeat(60_000)
  await until(async () => {
    await client.call('POST', '/realtime/v1/rooms/lobby/messages', { body: { text } })
    return host.app.roomcast.hub.connections.size === 1
  }, 'the end of the slow stream')
  const before = reader.events.length
  await client.call('POST', '/realtime/v1/rooms/lobby/messages', { body: { text: 'last' } })
  await until(() => reader.events.length > before, 'the next message')
})

test('a WebSocket over HTTP/2 is refused without harm, and one over HTTP/1.1 on the same port opens', async (t) => {
  const host = await startHost(t, { fastify: { http2: true, ...TLS } })
  const session = connectHttp2(host.url, { rejectUnauthorized: false })
  session.on('error', () => {})
  t.teardown(() => { session.destroy() })
  await once(session, 'remoteSettings')
  // RFC 8441: the server does not offer this, so the stream is a fault of the client.
  const stream = session.request({ ...EXTENDED_CONNECT, ':scheme': 'https' })
  const [outcome] = await Promise.race([once(stream, 'error'), once(stream, 'response')]) as [object]
  t.match(outcome, { code: 'ERR_HTTP2_STREAM_ERROR' })
  const client = await connect(host.realtime, { rejectUnauthorized: false })
  t.match(await client.join('lobby'), { type: 'joined' })
  t.equal((await new Http2Client(t, host.url).call('GET', '/realtime/ws')).status, 426)
  const closing = host.app.close()
  t.match(await client.closed, { code: 1001 })
  session.destroy()
  await closing
})

test('an application that offers WebSockets over HTTP/2 answers them by 405', async (t) => {
  const host = await startHost(t, {
    fastify: { http2: true },
    before: (app) => {
      app.server.on('session', (session: { settings: (settings: object) => void }) => { session.settings({ enableConnectProtocol: true }) })
    }
  })
  const session = connectHttp2(host.url)
  session.on('error', () => {})
  t.teardown(() => { session.destroy() })
  await until(() => session.remoteSettings?.enableConnectProtocol === true, 'the settings')
  const stream = session.request({ ...EXTENDED_CONNECT, ':scheme': 'http' })
  stream.on('error', () => {})
  const [headers] = await once(stream, 'response') as [Record<string, unknown>]
  t.equal(headers[':status'], 405)
  t.equal((await new Http2Client(t, host.url).call('GET', '/realtime/health/live')).status, 200)
})
