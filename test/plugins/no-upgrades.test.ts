import { test } from 'tap'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { connect } from '../support/websocket-client.ts'
import { HANDSHAKE, isProblem, request, speak } from '../support/http.ts'

const PATHS = [
  '/', '/nope', '/v1', '/v1/', '/v1/rooms', '/v1/rooms/lobby', '/v1/rooms/lobby/messages', '/v1/nope', '/docs', '/docs/',
  '/docs/static/index.html', '/docs/json', '/docs/nope', '/openapi.json', '/health/live', '/health/ready', '/health', '/metrics',
  '/ws/extra', '/of-the-application-around'
]

test('an upgrade anywhere but at /ws gets a 404 and the end of the socket', async (t) => {
  const service = await startService(t)
  for (const path of PATHS) {
    for (const headers of [[], [`Authorization: Bearer ${makeToken()}`]]) {
      const { answers: [answer], closed } = await speak(
        t, service,
        request('GET', `${path}?token=${makeToken()}`, [...HANDSHAKE, ...headers])
      )
      isProblem(t, answer, 404, 'not_found', path)
      t.equal(answer?.headers.connection, 'close')
      await closed
    }
  }
  t.equal(service.app.roomcast.pendingUpgrades.size, 0)
})

test('an upgrade with a path that cannot be read gets an answer and the end of the socket', async (t) => {
  const service = await startService(t)
  for (const path of ['/%ff', '/v1/rooms/%ff', '/ws%', '/%zz/ws']) {
    const { answers: [answer], closed } = await speak(t, service, request('GET', path, HANDSHAKE))
    isProblem(t, answer, 400, 'invalid_request', path)
    await closed
  }
  const { answers: [answer], closed } = await speak(t, service, request('GET', `/v1/rooms/${'a'.repeat(2_000)}`, HANDSHAKE))
  isProblem(t, answer, 414, 'uri_too_long')
  await closed
  t.ok(await connect(service), 'and the service goes on')
})

test('bytes behind a refused handshake are not taken for a request', async (t) => {
  const service = await startService(t)
  const { answers, closed } = await speak(t, service, request('GET', '/ws', HANDSHAKE) + request('GET', '/health/live'), { count: 2 })
  t.equal(answers.length, 1)
  isProblem(t, answers[0], 401, 'unauthorized')
  await closed
})

test('an upgrade by another method is an ordinary request', async (t) => {
  const service = await startService(t)
  const body = JSON.stringify({ text: 'hi' })
  const headers = [...HANDSHAKE, `Authorization: Bearer ${makeToken()}`, 'Content-Type: application/json', `Content-Length: ${body.length}`]
  const { answers: [answer] } = await speak(t, service, request('POST', '/v1/rooms/lobby/messages', headers, body))
  t.equal(answer?.status, 201)
  const { answers: [options] } = await speak(t, service, request('OPTIONS', '/ws', HANDSHAKE))
  t.equal(options?.status, 204)
  const { answers: [proxied] } = await speak(t, service, request('CONNECT', 'elsewhere.example:443'))
  isProblem(t, proxied, 404, 'not_found', 'CONNECT')
})
