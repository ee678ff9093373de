import { test } from 'tap'
import { maskTokens, serializeError } from '../src/log.ts'
import { call, type Service, startService } from './support/service.ts'
import { makeToken } from './support/token.ts'
import { close, connect } from './support/websocket-client.ts'
import { ask, HANDSHAKE, isProblem, request, speak } from './support/http.ts'

/** Tokens that were shown to a service, and must not be found in its log. */
class Shown {
  readonly #service: Service
  readonly #secrets = new Set<string>()
  #count = 0

  constructor (service: Service) {
    this.#service = service
  }

  /** A fresh good token. */
  token (claims: Record<string, unknown> = {}): string {
    return this.add(makeToken({ jti: `token-${this.#count++}`, ...claims }))
  }

  add (token: string): string {
    for (const part of [token, token.split('.')[1] ?? '', token.split('.')[2] ?? '']) if (part !== '') this.#secrets.add(part)
    return token
  }

  get count (): number {
    return this.#secrets.size
  }

  /** The log lines with any of them. */
  get found (): string[] {
    const log = this.#service.log.join('')
    const secrets = [...this.#secrets].filter((secret) => log.includes(secret))
    return this.#service.log.filter((line) => secrets.some((secret) => line.includes(secret)))
  }
}

test('no log line contains a token, wherever it stood and whatever became of the request', async (t) => {
  const service = await startService(t, { JWT_COOKIE: 'session', ALLOWED_ORIGINS: 'https://app.example.com' }, (app) => {
    app.get('/broken', async (request) => {
      throw Object.assign(new Error(`cannot serve ${request.url}`), {
        request: request.raw, headers: request.headers, cause: new Error(request.url)
      })
    })
    app.get('/broken-in-words', (request) => { throw request.url })
  })
  const shown = new Shown(service)
  const bearer = (token: string) => `Authorization: Bearer ${token}`
  const statuses = new Map<number, number>()
  const send = async (bytes: string) => {
    const { status } = await ask(t, service, bytes)
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
  }

  // Everywhere a token may stand, on every kind of path: good tokens, expired ones, and what is none.
  const paths = [
    '/health/live', '/v1/rooms', '/v1/rooms/lobby', '/nope', '/broken', '/broken-in-words', '/v1/nope', '/%ff', '/ws', '/docs/nope',
    '/v1/rooms/a%2Fb'
  ]
  const makers = [
    () => shown.token(),
    () => shown.token({ exp: 1 }),
    () => shown.token({ sub: 7 }),
    () => shown.add(`opaque-${shown.count}-garbage`)
  ]
  for (const path of paths) {
    for (const make of makers) {
      await send(request('GET', `${path}?token=${make()}`))
      await send(request('GET', `${path}?room=lobby&token=${make()}&origin=x`))
      await send(request('GET', path, [bearer(make())]))
      await send(request('GET', path, [`Cookie: a=b; session=${make()}`]))
      await send(request('GET', path, [`Sec-WebSocket-Protocol: roomcast.v1, bearer.${make()}`]))
      await send(request('GET', `${path}?token=${make()}`, HANDSHAKE))
      await send(request('GET', path, [...HANDSHAKE, `Sec-WebSocket-Protocol: roomcast.v1, bearer.${make()}`]))
      await send(request('GET', path, [...HANDSHAKE, bearer(make())]))
      await send(request('GET', path, [...HANDSHAKE, `Cookie: session=${make()}`]))
      await send(request('POST', `${path}?token=${make()}`, [bearer(make()), 'Content-Type: application/json', 'Content-Length: 1'], '{'))
    }
  }
  // Handshakes and requests that nobody can read.
  await send(request('GET', `/ws?token=${shown.token()}`, ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 12']))
  await send(request('GET', `/ws?token=${shown.token()}`, [...HANDSHAKE, 'Origin: https://evil.example']))
  await send(`GET /ws?token=${shown.token()} HTTP/1.1\r\nHost x\r\n\r\n`)
  await send(`GET /ws?token=${shown.token()} HTTP/7.7\r\n\r\n`)
  await send(`NOPE /ws?token=${shown.token()} HTTP/1.1\r\nHost: x\r\n\r\n`)
  await send(request('GET', '/health/live', [bearer(shown.token()), 'Content-Length: x']))
  await send(request('GET', `/health/live?token=${shown.token()}`, [`X-Huge: ${'x'.repeat(20_000)}`]))
  await send(request('GET', `/%zz?token=${shown.token()}`))
  await send(request('GET', `/${'a'.repeat(2_000)}/x?token=${shown.token()}`))
  await send(request('GET', `/v1/rooms/${'a'.repeat(2_000)}?token=${shown.token()}`, [bearer(shown.token())]))
  // Other spellings and other places of a URL.
  await send(request('GET', `/nope?%74oken=${shown.token()}`))
  await send(request('GET', `/nope?TOKEN=${shown.token()}`))
  await send(request('GET', `/nope?access_token=${shown.token()}`))
  await send(request('GET', `/nope?a=%26token=${shown.token()}`))
  await send(request('GET', `/nope;token=${shown.token()}`))
  await send(request('GET', `/nope#token=${shown.token()}`))
  await send(request('GET', `/nope/${shown.token()}`))
  await send(request('GET', `/v1/rooms/${shown.token()}/messages`, [bearer(shown.token())]))
  await send(request('GET', `http://x/nope?token=${shown.token()}`))
  await send(request('GET', `/ws?token=${shown.token()}&token=${shown.token()}`, HANDSHAKE))
  // Connections that live, and how they end.
  for (const options of [
    { token: shown.token() },
    { token: '', protocols: ['roomcast.v1', `bearer.${shown.token()}`] },
    { token: '', headers: { authorization: `Bearer ${shown.token()}` } }
  ]) {
    const client = await connect(service, { ...options, query: 'room=lobby' })
    await client.next('joined')
    await close(client)
  }
  await (await connect(service, { token: shown.token({ exp: 1 }), headers: { origin: 'https://app.example.com' } })).closed
  const rude = await connect(service, { token: shown.token() })
  rude.ws.terminate()

  t.strictSame([...statuses.keys()].sort(), [101, 200, 400, 401, 403, 404, 405, 414, 426, 500], 'all kinds of answers were seen')
  t.ok(shown.count > 900, 'many tokens were shown')
  t.strictSame(shown.found, [])
  t.ok(service.log.some((line) => line.includes('?token=***')), 'and the requests were logged')
  t.ok(service.log.some((line) => line.includes('cannot serve /broken?token=***')), 'and the errors')
})

test('no answer gives a token back that stood in the URL', async (t) => {
  const service = await startService(t, {}, (app) => { app.get('/broken', async ({ url }) => { throw new Error(url) }) })
  for (const path of ['/nope', '/broken', '/%ff', '/v1/rooms', '/%zz']) {
    const token = makeToken()
    const { answers: [answer] } = await speak(t, service, request('GET', `${path}?token=${token}`))
    t.ok(answer !== undefined && !answer.body.includes(token), path)
  }
})

test('an error of the application is told to nobody but the log', async (t) => {
  const service = await startService(t, {}, (app) => {
    app.get('/broken', async () => { throw new Error('the database password is swordfish') })
  })
  const answer = await call(service, 'GET', '/broken')
  isProblem(t, answer, 500, 'internal')
  t.notOk(JSON.stringify(answer.body).includes('swordfish'))
  t.ok(service.log.some((line) => line.includes('swordfish')))
})

test('with LOG_LEVEL silent nothing is logged', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  await call(service, 'GET', '/nope')
  t.strictSame(service.log, [])
})

test('tokens are masked however they are written', async (t) => {
  t.equal(maskTokens('/ws?token=abc&room=lobby'), '/ws?token=***&room=lobby')
  t.equal(maskTokens('/ws?room=lobby&%74%6F%6b%65%6E=abc#x'), '/ws?room=lobby&%74%6F%6b%65%6E=***#x')
  t.equal(maskTokens('/ws?token='), '/ws?token=***')
  t.equal(maskTokens('/ws?tokens=abc&mytoken=abc'), '/ws?tokens=abc&mytoken=abc', 'other parameters stay')
  t.equal(maskTokens(`said "${makeToken()}" aloud`), 'said "***" aloud')
  t.equal(maskTokens('no secrets here'), 'no secrets here')
})

test('an error in the log has what every error has, and nothing of what libraries hang on theirs', async (t) => {
  const error = Object.assign(new TypeError(`bad ${makeToken()}`), {
    code: 'E_BAD',
    token: 'secret',
    config: { headers: { authorization: 'secret' } }
  })
  const { stack, ...rest } = serializeError(error)
  t.strictSame(rest, { type: 'TypeError', code: 'E_BAD', message: 'bad ***' })
  t.match(stack, /^TypeError: bad \*\*\*\n {4}at /)
  t.strictSame(serializeError('thrown ?token=abc'), { type: 'string', message: 'thrown ?token=***', stack: '' })
  t.strictSame(serializeError(null), { type: 'object', message: 'null', stack: '' })
})
