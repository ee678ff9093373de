import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { test } from 'tap'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { connect } from '../support/websocket-client.ts'
import { request, speak } from '../support/http.ts'

function post (text: string, headers: string[]): string {
  const body = JSON.stringify({ text })
  return [
    'POST /v1/rooms/lobby/messages HTTP/1.1', 'Host: x', ...headers,
    `Authorization: Bearer ${makeToken()}`, 'Content-Type: application/json', `Content-Length: ${body.length}`, '', body
  ].join('\r\n')
}

const H2C = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA']

test('a request that asks for HTTP/2 is answered over HTTP/1.1, and so are the ones behind it', async (t) => {
  const service = await startService(t)
  const member = await connect(service, { query: 'room=lobby' })
  const socket = connectTcp(service.port, '127.0.0.1')
  t.teardown(() => { socket.destroy() })
  let answers = ''
  socket.on('data', (chunk) => { answers += String(chunk) })
  await once(socket, 'connect')

  socket.write(post('one', H2C))
  t.match(await member.next('message'), { text: 'one' })
  socket.write(post('two', [])) // On the same connection.
  t.match(await member.next('message'), { text: 'two' })
  const three = post('three', H2C)
  socket.write(three.slice(0, -5)) // The body comes in pieces.
  socket.write(three.slice(-5))
  t.match(await member.next('message'), { text: 'three' })
  await until(() => (answers.match(/HTTP\/1\.1 201 /g) ?? []).length === 3, 'three answers')
})

test('an unknown upgrade is ignored, and a WebSocket is not', async (t) => {
  const service = await startService(t)
  const response = await fetch(`${service.url}/health/live`)
  t.equal(response.status, 200)
  const socket = connectTcp(service.port, '127.0.0.1')
  t.teardown(() => { socket.destroy() })
  socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: teapot/1\r\n\r\n')
  const [answer] = await once(socket, 'data') as [Buffer]
  t.match(String(answer), /^HTTP\/1\.1 200 /)
  const client = await connect(service)
  t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
})

test('offers in a pipeline are ignored as well, and the service still closes', async (t) => {
  const service = await startService(t)
  const { answers } = await speak(t, service, request('GET', '/health/live') + request('GET', '/health/ready', H2C), { count: 2 })
  t.strictSame(answers.map(({ body }) => body), ['{"status":"live"}', '{"status":"ready"}'])
})

test('a request that offers HTTP/2 with every request of its connection has all of them answered', async (t) => {
  const service = await startService(t)
  const warnings: Error[] = []
  const onWarning = (warning: Error) => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => { process.off('warning', onWarning) })
  const { answers, socket } = await speak(t, service, request('GET', '/health/live', H2C))
  t.equal(answers[0]?.status, 200)
  for (let i = 0; i < 30; i++) {
    socket.write(request('GET', '/health/live', H2C))
    const [answer] = await once(socket, 'data') as [Buffer]
    t.match(String(answer), /^HTTP\/1\.1 200 /)
  }
  t.strictSame(warnings, [])
})
