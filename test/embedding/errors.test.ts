import { test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { buildHost, startHost } from '../support/host.ts'
import { call } from '../support/service.ts'

/** Errors that a hook throws, by the value of the header `x-throw`. */
const THROWN: Record<string, unknown> = {
  429: Object.assign(new Error('slower'), { statusCode: 429, headers: { 'Retry-After': '7' } }),
  401: Object.assign(new Error('who?'), { statusCode: 401, headers: { 'WWW-Authenticate': 'Basic realm="a"', 'Content-Length': '3' } }),
  503: Object.assign(new Error('secret'), { statusCode: 503, headers: { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' } }),
  exposed: Object.assign(new Error('gateway of the host'), { status: 502, expose: true }),
  hidden: Object.assign(new Error('secret'), { status: 404, expose: false }),
  plain: new Error('secret'),
  text: 'secret',
  odd: Object.assign(new Error('secret'), { statusCode: 200, status: '403' }),
  token: Object.assign(new Error(`refused /x?token=${'a'.repeat(40)}`), { statusCode: 400 })
}
for (const status of [402, 403, 404, 408, 409, 410, 418, 451, 500, 501, 502, 504]) {
  THROWN[status] ??= Object.assign(new Error(status < 500 ? 'by the host' : 'secret'), { statusCode: status })
}

function throwing (hook: 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler'): (app: FastifyInstance) => void {
  return (app) => {
    app.setErrorHandler(async (_error, _request, reply) => await reply.code(200).send('of the application'))
    app.addHook(hook as 'onRequest', async ({ headers }, reply) => {
      const { 'x-throw': name, 'x-code': code } = headers
      if (code !== undefined) reply.code(Number(code))
      if (name !== undefined) throw THROWN[String(name)]
    })
  }
}

for (const hook of ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const) {
  test(`statuses that a hook of the application throws in ${hook} keep their meaning`, async (t) => {
    const { realtime } = await startHost(t, { before: throwing(hook) })
    const get = async (name: string, headers = {}) =>
      await call(realtime, 'GET', '/v1/rooms', { headers: { 'x-throw': name, ...headers } })
    for (const [name, status, code, retryable] of [
      ['401', 401, 'unauthorized', false], ['402', 402, 'invalid_request', false], ['403', 403, 'forbidden', false],
      ['404', 404, 'not_found', false], ['408', 408, 'timeout', true], ['409', 409, 'invalid_request', false],
      ['410', 410, 'invalid_request', false], ['418', 418, 'invalid_request', false], ['429', 429, 'rate_limited', true],
      ['451', 451, 'invalid_request', false], ['500', 500, 'internal', true], ['501', 501, 'internal', true],
      ['502', 502, 'internal', true], ['503', 503, 'unavailable', true], ['504', 504, 'internal', true],
      ['exposed', 502, 'internal', true], ['hidden', 404, 'not_found', false], ['plain', 500, 'internal', true],
      ['text', 500, 'internal', true], ['odd', 500, 'internal', true], ['token', 400, 'invalid_request', false]
    ] as const) {
      const answer = await get(name)
      t.match(answer, { status, body: { type: `urn:roomcast:error:${code}`, status, code, retryable } }, name)
      t.equal(answer.headers.get('content-type'), 'application/problem+json; charset=utf-8')
      t.notMatch(JSON.stringify(answer.body), 'secret', name)
      t.notMatch(JSON.stringify(answer.body), 'a'.repeat(40), name)
    }
    t.match((await get('409')).body, { detail: 'by the host' })
    t.match((await get('exposed')).body, { detail: 'gateway of the host' })
    const limited = await get('429')
    t.strictSame([limited.headers.get('retry-after'), (limited.body as { retryAfterMs: number }).retryAfterMs], ['7', 7_000])
    t.equal((await get('401')).headers.get('www-authenticate'), 'Basic realm="a"')
    t.equal((await get('503')).headers.get('retry-after'), 'Wed, 21 Oct 2026 07:28:00 GMT')
    t.match(await get('plain', { 'x-code': '403' }), { status: 403, body: { code: 'forbidden', status: 403 } }, 'a status set before')
    t.match(await get('409', { 'x-code': '403' }), { status: 409 }, 'the error decides')
  })
}

test('an upgrade that a hook of the application refuses has the status of the hook', async (t) => {
  const { app } = await buildHost(t, { before: throwing('onRequest') })
  await app.ready()
  for (const name of ['403', '429', '502']) {
    await t.rejects(app.injectWS('/realtime/ws', { headers: { 'x-throw': name } } as never), new RegExp(`server response: ${name}$`))
  }
})
