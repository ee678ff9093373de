import Fastify from 'fastify'
import { test } from 'tap'
import roomcast, { readConfig } from '../../src/app.ts'
import { SECRET } from '../support/token.ts'

const ALLOWED = {
  '/v1/rooms': 'GET, HEAD, OPTIONS',
  '/v1/rooms/lobby': 'GET, HEAD, OPTIONS',
  '/v1/rooms/lobby/messages': 'DELETE, GET, HEAD, OPTIONS, POST',
  '/v1/rooms/lobby/events': 'GET, OPTIONS',
  '/v1/events?room=lobby': 'GET, OPTIONS',
  '/v1/messages': 'OPTIONS, POST',
  '/v1/broadcast': 'OPTIONS, POST',
  '/v1/users/ada/messages': 'OPTIONS, POST',
  '/health/live': 'GET, HEAD, OPTIONS',
  '/health/ready': 'GET, HEAD, OPTIONS'
}

for (const prefix of ['', '/realtime']) {
  test(`a known path answers another method with 405 and Allow (prefix "${prefix}")`, async (t) => {
    const app = Fastify({ routerOptions: { ignoreTrailingSlash: prefix === '' } })
    t.teardown(async () => { await app.close() })
    await app.register(roomcast, { prefix, config: readConfig({ JWT_SECRET: SECRET }) })
    app.get('/own', async () => ({}))
    for (const [path, allow] of Object.entries(ALLOWED)) {
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE'] as const) {
        const { statusCode, headers, body } = await app.inject({
          method, url: prefix + path, ...(method === 'PUT' && { payload: '<a/>', headers: { 'content-type': 'text/xml' } })
        })
        const message = `${method} ${path}`
        if (allow.split(', ').includes(method)) {
          t.not(statusCode, 405, message)
          continue
        }
        t.strictSame([statusCode, headers.allow, headers['content-type']], [405, allow, 'application/problem+json; charset=utf-8'], message)
        if (method !== 'HEAD') t.equal((JSON.parse(body) as { code: string }).code, 'method_not_allowed', message)
      }
      const origin = 'https://app.example.com'
      const preflight = await app.inject({
        method: 'OPTIONS', url: prefix + path, headers: { origin, 'access-control-request-method': 'POST' }
      })
      t.equal(preflight.statusCode, 204, `preflight of ${path}`)
      const simple = await app.inject({ method: 'PUT', url: prefix + path, headers: { origin } })
      t.equal(simple.headers['access-control-allow-origin'], '*', 'a page can read the refusal')
    }
    for (const path of ['/v1/nowhere', '/v1/rooms/a/b/c', '/v1']) {
      t.equal((await app.inject({ method: 'PUT', url: prefix + path })).statusCode, 404, path)
    }
    t.equal((await app.inject({ method: 'PUT', url: '/own' })).statusCode, 404, 'the routes of the application stay as they are')
  })
}
