import { test, type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { call } from '../support/service.ts'
import { checkRoomcast, type Host, startHost } from '../support/host.ts'
import { openEvents } from '../support/event-stream.ts'
import { makeToken } from '../support/token.ts'

/** Checks the answers that the application's rules could change. */
async function checkAnswers (t: Test, host: Host, name: string): Promise<void> {
  const { realtime } = host
  const post = async (body: string, type: string) =>
    await call(realtime, 'POST', '/v1/rooms/lobby/messages', { body, headers: { 'content-type': type } })
  for (const [body, type, status, code] of [
    ['{"text":"hi"}', 'application/json', 201],
    ['hi', 'text/plain', 201],
    ['hi', 'application/octet-stream', 201],
    ['{"text":1}', 'application/json', 400, 'invalid_request'],
    ['{', 'application/json', 400, 'invalid_json'],
    ['a=b', 'application/x-www-form-urlencoded', 415, 'unsupported_media_type'],
    ['<a/>', 'application/vnd.mine+json', 415, 'unsupported_media_type']
  ] as const) {
    t.match(await post(body, type), { status, body: code === undefined ? { room: 'lobby' } : { code, status } }, `${name}: ${type} ${body}`)
  }
  for (const [method, path, status, code] of [
    ['GET', '/v1/rooms/lobby/messages?limit=1', 200],
    ['GET', '/v1/rooms/lobby/messages?limit=x', 400, 'invalid_request'],
    ['GET', '/v1/rooms/%20', 400, 'invalid_room'],
    ['GET', '/health/ready', 200],
    ['GET', '/docs/', 200],
    ['GET', '/docs/static/none', 404, 'not_found'],
    ['GET', '/nowhere', 404, 'not_found'],
    ['GET', '/ws', 426, 'upgrade_required']
  ] as const) {
    t.match(await call(realtime, method, path), { status, ...(code !== undefined && { body: { code, status } }) }, `${name}: ${path}`)
  }
  t.match(await call(realtime, 'POST', '/v1/messages', { body: { messages: [{ room: 'lobby', text: 'hi' }] } }), {
    status: 201, body: { results: [{ room: 'lobby' }] }
  }, `${name}: a batch`)
  await checkRoomcast(t, host)
  await openEvents(realtime, '/v1/events?room=lobby')
}

const unusable = (): never => { throw new Error('of the application') }

for (const [name, before] of Object.entries<(app: FastifyInstance) => void>({
  'compilers that refuse a schema that is not their own': (app) => {
    app.setValidatorCompiler(unusable).setSerializerCompiler(unusable)
  },
  'compilers that fail at a value': (app) => {
    app.setValidatorCompiler(() => unusable).setSerializerCompiler(() => unusable)
  },
  'a validator that accepts anything': (app) => { app.setValidatorCompiler(() => (value) => ({ value })) },
  'a serializer for replies': (app) => { app.setReplySerializer(() => 'of the application') },
  'a formatter for validation errors': (app) => { app.setSchemaErrorFormatter(unusable) },
  'a schema controller': (app) => {
    app.setSchemaController({ compilersFactory: { buildValidator: () => unusable, buildSerializer: () => unusable } })
  },
  'schemas of its own': (app) => {
    for (const id of ['Room', 'message', 'urn:roomcast', 'http://json-schema.org/draft-07/schema']) {
      app.addSchema({ $id: id, type: 'number', format: 'of the application' })
    }
  },
  'handlers of errors and of unknown paths': (app) => {
    app.setErrorHandler(async (_error, _request, reply) => await reply.code(418).send('of the application'))
    app.setNotFoundHandler(async (_request, reply) => await reply.code(418).send('of the application'))
  },
  'parsers for every body': (app) => {
    app.removeAllContentTypeParsers()
    for (const type of ['application/json', 'text/plain', 'application/octet-stream', '*', /form/, /json/]) {
      app.addContentTypeParser(type, async () => 'of the application')
    }
  },
  'decorators of every name': (app) => {
    for (const item of ['config', 'jwt', 'cors', 'redis', 'hub', 'broker', 'limits', 'createRateLimit', 'rateLimit', 'eventStreams']) {
      app.decorate(item, Object.freeze({ of: 'the application' }))
    }
    for (const item of ['user', 'identity', 'roomcast', 'rooms', 'jwtVerify']) app.decorateRequest(item, null)
    for (const item of ['user', 'jwtSign', 'roomcast']) app.decorateReply(item, null)
  }
})) {
  test(`answers are the same in an application with ${name}`, async (t) => {
    await checkAnswers(t, await startHost(t, { before }), name)
  })
}

for (const [name, fastify] of Object.entries({
  'other options of Ajv': { ajv: { customOptions: { coerceTypes: 'array', allErrors: true, removeAdditional: 'all' } } },
  'a router without case and with a slash at the end': { routerOptions: { caseSensitive: false, ignoreTrailingSlash: true } },
  'a limit of bodies': { bodyLimit: 1 },
  'its own 503, ids and loggers': {
    return503OnClosing: true,
    genReqId: () => 'same',
    childLoggerFactory: (logger: { child: (bindings: object) => unknown }) => logger.child({})
  },
  'a factory of compilers': { schemaController: { compilersFactory: { buildValidator: () => unusable, buildSerializer: () => unusable } } }
} as Record<string, object>)) {
  test(`answers are the same in an application with ${name}`, async (t) => {
    await checkAnswers(t, await startHost(t, { fastify }), name)
  })
}

test('an answer that a hook of the application gives stays as the hook wrote it', async (t) => {
  const { realtime } = await startHost(t, {
    before: (app) => {
      app.addHook('onRequest', async ({ headers }, reply) => {
        if (headers['x-refuse'] !== undefined) return await reply.code(403).header('x-by', 'host').send({ mine: { n: 1 }, why: 'no' })
      })
    }
  })
  const { status, headers, body } = await call(realtime, 'GET', '/v1/rooms', { headers: { 'x-refuse': '1' } })
  t.strictSame([status, headers.get('x-by'), body], [403, 'host', { mine: { n: 1 }, why: 'no' }])
})

for (const hook of ['preSerialization', 'onSend'] as const) {
  test(`a publish whose answer fails in ${hook} is not reported as refused, and its key makes a retry safe`, async (t) => {
    let fails: boolean | 'always' = false
    const host = await startHost(t, {
      before: (app) => {
        app.setErrorHandler(async (_error, _request, reply) => await reply.code(418).send('of the application'))
        app.addHook(hook, async (_request: unknown, reply: { statusCode: number }) => {
          if (fails === 'always' || (fails && reply.statusCode < 300)) throw Object.assign(new Error('secret'), { statusCode: 403 })
        })
      }
    })
    const token = makeToken({ rooms: { '**': ['publish', 'history'], '@user:bea': ['publish'] } })
    for (const mode of [true, 'always'] as const) {
      for (const [path, body] of [
        ['/v1/rooms/lobby/messages', { text: 'once' }],
        ['/v1/users/bea/messages', { text: 'once' }],
        ['/v1/messages', { messages: [{ room: 'lobby', text: 'once', key: `${mode}-batch` }] }]
      ] as const) {
        fails = mode
        const request = { body, token, headers: { 'idempotency-key': `${mode}-${path}` } }
        const unknown = await call(host.realtime, 'POST', path, request)
        t.equal(unknown.headers.get('content-type'), 'application/problem+json; charset=utf-8')
        t.match(unknown, { status: 504, body: { status: 504, code: 'publish_unknown', retryable: true } }, `${path}, ${mode}`)
        t.notMatch(JSON.stringify(unknown.body), 'secret')
        fails = false
        t.equal((await call(host.realtime, 'POST', path, request)).status, 201)
      }
    }
    const { body } = await call(host.realtime, 'GET', '/v1/rooms/lobby/messages')
    t.equal((body as { messages: unknown[] }).messages.length, 4, 'each message is there once')

    fails = 'always'
    for (const [method, path, status] of [['GET', '/v1/rooms', 403], ['GET', '/v1/rooms/%20', 400], ['GET', '/nowhere', 404]] as const) {
      const refused = await call(host.realtime, method, path)
      t.equal(refused.status, status, path)
      t.equal((refused.body as { status: number }).status, status)
    }
    const refused = await call(host.realtime, 'POST', '/v1/rooms/lobby/messages', { body: { text: 1 } })
    t.equal(refused.status, 400, 'refused before it was published')
  })
}
