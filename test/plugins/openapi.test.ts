import { Ajv } from 'ajv'
import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import { test } from 'tap'
import roomcast, { readConfig } from '../../src/app.ts'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import { isProblem, request, speak } from '../support/http.ts'
import { call, startService } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'

/** The parts of an OpenAPI document that the tests read. */
interface OpenApi {
  paths: Record<string, Record<string, {
    requestBody?: { content: Record<string, { schema: object }> }
    responses: Record<string, { description: string, content?: object }>
  }>>
}

test('the documentation answers like any static page: with redirects, HEAD, caching and problem documents', async (t) => {
  const { url } = await startService(t)
  const get = async (path: string, options: RequestInit = {}): Promise<Response> =>
    await fetch(url + path, { redirect: 'manual', ...options })
  const withoutSlash = await get('/docs')
  t.strictSame([withoutSlash.status, withoutSlash.headers.get('location')], [302, 'docs/'])
  t.match(await (await get('/docs/')).text(), './static/swagger-ui-bundle.js')
  const redirect = await get('/docs/static/index.html')
  t.strictSame([redirect.status, redirect.headers.get('location')], [302, '/docs/'])

  const page = await get('/docs/static/swagger-ui.css')
  const length = page.headers.get('content-length')
  t.strictSame(
    [page.status, page.headers.get('content-type'), length],
    [200, 'text/css; charset=utf-8', String((await page.arrayBuffer()).byteLength)]
  )
  const head = await get('/docs/static/swagger-ui.css', { method: 'HEAD' })
  t.strictSame([head.status, head.headers.get('content-length'), await head.text()], [200, length, ''])
  const part = await get('/docs/static/swagger-ui.css', { headers: { range: 'bytes=0-9' } })
  t.strictSame([part.status, (await part.arrayBuffer()).byteLength], [206, 10])

  const document = await (await get('/openapi.json')).json() as { paths: Record<string, unknown> }
  t.strictSame(await (await get('/docs/json')).json(), document)
  t.notOk(Object.keys(document.paths).some((path) => path.startsWith('/docs') || path === '/openapi.json'), 'it does not describe itself')
  for (const path of ['/docs/static/none', '/docs/none']) {
    const missing = await get(path)
    t.strictSame([missing.status, missing.headers.get('content-type')], [404, 'application/problem+json; charset=utf-8'], path)
  }
})

test('under a prefix the documentation describes the routes under that prefix', async (t) => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(roomcast, { prefix: '/realtime', config: readConfig({ JWT_SECRET: SECRET }) })
  t.equal((await app.inject('/realtime/docs')).headers.location, 'docs/')
  t.match((await app.inject('/realtime/docs/')).body, '"./static/swagger-ui-bundle.js"')
  t.equal((await app.inject('/realtime/docs/static/index.html')).headers.location, '/realtime/docs/')
  t.ok('/realtime/v1/rooms/{room}/messages' in (await app.inject('/realtime/openapi.json')).json<{ paths: object }>().paths)
  t.equal((await app.inject('/docs')).statusCode, 404)
})

test('a path that leads out of the documentation is not found, and reaches no described route', async (t) => {
  const service = await startService(t)
  for (const path of ['/docs/static/../../v1/rooms/lobby/messages', '/docs/static/%2e%2e/%2e%2e/health/live']) {
    const { answers: [answer] } = await speak(t, service, request('GET', path, ['Connection: close']))
    isProblem(t, answer, 404, 'not_found', path)
  }
})

test('an application that ignores trailing slashes starts, and its own OpenAPI document leaves the documentation out', async (t) => {
  const app = Fastify({ routerOptions: { ignoreTrailingSlash: true } })
  t.teardown(async () => { await app.close() })
  await app.register(swagger, { openapi: { info: { title: 'Host', version: '1' } } })
  await app.register(roomcast, { prefix: '/realtime', config: readConfig({ JWT_SECRET: SECRET }) })
  app.get('/own', async () => ({}))
  await app.ready()
  t.equal((await app.inject('/realtime/docs')).headers.location, 'docs/', 'without an endless redirection')
  t.equal((await app.inject('/realtime/docs/')).statusCode, 200)
  const paths = Object.keys(app.swagger().paths ?? {})
  t.ok(paths.includes('/own'))
  t.strictSame(paths.filter((path) => /docs|openapi/.test(path)), [])
})

test('the application closes while the documentation is being made', async (t) => {
  const app = Fastify()
  await app.register(roomcast, { config: readConfig({ JWT_SECRET: SECRET }) })
  await app.ready()
  void app.inject('/docs')
  await app.close()
  t.pass('it is closed')
})

test('OpenAPI describes each error as a problem document, with the codes of its status', async (t) => {
  const { url } = await startService(t)
  const { paths } = await (await fetch(`${url}/openapi.json`)).json() as OpenApi
  for (const [path, operations] of Object.entries(paths).filter(([path]) => path.startsWith('/v1/'))) {
    for (const [method, { requestBody, responses }] of Object.entries(operations)) {
      const errors = Object.entries(responses).filter(([status]) => Number(status) >= 400)
      const ofBody = requestBody === undefined ? [] : ['413', '415', '422', '504']
      const expected = ['400', '401', '403', '404', '414', '429', '500', '503', ...ofBody]
      for (const status of expected) t.ok(errors.some(([one]) => one === status), `${method} ${path} ${status}`)
      for (const [status, { description, content }] of errors) {
        t.strictSame(Object.keys(content ?? {}), ['application/problem+json'], `${method} ${path} ${status}`)
        for (const [, code = ''] of description.matchAll(/`(\w+)`/g)) t.equal(String(ERRORS[code as ErrorCode].status), status, code)
      }
    }
  }
})

test('the schema of a message accepts what the service accepts: exactly one of text and data', async (t) => {
  const service = await startService(t)
  const { paths } = await (await fetch(`${service.url}/openapi.json`)).json() as OpenApi
  for (const path of ['/v1/rooms/{room}/messages', '/v1/users/{user}/messages', '/v1/broadcast']) {
    const isMessage = new Ajv({ strict: false }).compile(paths[path]?.post?.requestBody?.content['application/json']?.schema ?? false)
    const token = makeToken({ rooms: { '**': ['*'], '@all': ['*'], '@user:*': ['*'] } })
    const contents = [{ text: 'a' }, { data: null }, { data: 1, event: 'e' }, {}, { text: 'a', data: 1 }, { event: 'e' }]
    for (const body of [...contents, { text: 1 }, [], 'a']) {
      const { status, body: answer } = await call(service, 'POST', path.replace(/\{\w+\}/, 'ada'), { token, body })
      t.equal(status, isMessage(body) ? 201 : 400, `${path} ${JSON.stringify(body)}`)
      if (status === 400 && contents.includes(body as object)) {
        t.equal((answer as { detail: string }).detail, 'A message has exactly one of "text" and "data"')
      }
    }
  }
})
