import { createHmac, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { test, type Test } from 'tap'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { close, connect, refusal } from '../support/websocket-client.ts'
import { ask, HANDSHAKE, isProblem, request } from '../support/http.ts'

const now = () => Math.floor(Date.now() / 1_000)

/** A token out of JSON as it is written, signed with HS256. */
function forge (header: string, payload: string, key = SECRET): string {
  const input = [header, payload].map((part) => Buffer.from(part).toString('base64url')).join('.')
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}

/** Both doors refuse the token, and a browser's socket is closed with 4001. */
async function isRefused (t: Test, service: Service, token: string, name: string): Promise<void> {
  isProblem(t, await ask(t, service, request('GET', '/v1/rooms', [`Authorization: Bearer ${token}`])), 401, 'unauthorized', `${name}, REST`)
  isProblem(t, await ask(t, service, request('GET', `/ws?token=${token}`, HANDSHAKE)), 401, 'unauthorized', `${name}, socket`)
  const client = await connect(service, { token: encodeURIComponent(token), headers: { origin: 'https://app.example.com' } })
  t.strictSame(await client.closed, { code: 4001, reason: 'Unauthorized' }, `${name}, a browser's socket`)
}

async function isAccepted (t: Test, service: Service, token: string, name: string): Promise<void> {
  t.equal((await call(service, 'GET', '/v1/rooms', { token })).status, 200, `${name}, REST`)
  const client = await connect(service, { token })
  t.match(await client.ask({ type: 'ping' }), { type: 'pong' }, `${name}, socket`)
  await close(client)
}

test('a token that is missing, empty or no token is refused', async (t) => {
  const service = await startService(t)
  for (const authorization of [
    [], [''], ['Bearer'], ['Bearer '], ['bearer'], ['abc'], [makeToken()], ['Basic YWRhOmxvdmVsYWNl'], [`Bearer ${makeToken()} x`],
    [`Bearer: ${makeToken()}`], [`Bearer,${makeToken()}`], ['Bearer undefined'], ['Bearer null']
  ]) {
    isProblem(
      t, await ask(t, service, request('GET', '/v1/rooms', authorization.map((value) => `Authorization: ${value}`))),
      401, 'unauthorized', `Authorization: ${String(authorization).slice(0, 20)}`
    )
  }
  isProblem(t, await ask(t, service, request('GET', '/ws', HANDSHAKE)), 401, 'unauthorized', 'no token on a socket')
  for (const token of [
    '',
    'abc',
    '.',
    '..',
    '...',
    'a.b.c',
    'eyJ.eyJ.x',
    randomBytes(6 * 1024).toString('base64url'),
    'x'.repeat(8 * 1024),
    `${makeToken()}x.y`,
    'null',
    '%00',
    '%F0%9F%98%80'
  ]) {
    isProblem(t, await ask(t, service, request('GET', `/ws?token=${token}`, HANDSHAKE)), 401, 'unauthorized', `token=${token.slice(0, 20)}`)
  }
})

test('the name of the scheme may be written in any case', async (t) => {
  const service = await startService(t)
  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Bearer  ']) {
    t.equal(
      (await call(service, 'GET', '/v1/rooms', { token: '', headers: { authorization: `${scheme} ${makeToken()}` } })).status,
      200,
      scheme
    )
  }
})

test('two tokens are refused, in the same place or in two, the same token or another', async (t) => {
  const service = await startService(t)
  const token = makeToken()
  for (const other of [token, makeToken({ sub: 'bea' }), 'abc', '']) {
    const name = `the other is ${other.slice(0, 10)}`
    const headers = [`Authorization: Bearer ${token}`]
    if (other !== '') {
      isProblem(
        t, await ask(t, service, request('GET', '/v1/rooms', [...headers, `Authorization: Bearer ${other}`])),
        401, 'unauthorized', `two headers, ${name}`
      )
    }
    isProblem(
      t, await ask(t, service, request('GET', `/ws?token=${other}`, [...HANDSHAKE, ...headers])),
      401, 'unauthorized', `header and query, ${name}`
    )
    isProblem(
      t, await ask(t, service, request('GET', '/ws', [...HANDSHAKE, ...headers, `Sec-WebSocket-Protocol: roomcast.v1, bearer.${other}`])),
      401, 'unauthorized', `header and subprotocol, ${name}`
    )
    isProblem(
      t, await ask(t, service, request('GET', `/ws?token=${token}&token=${other}`, HANDSHAKE)),
      401, 'unauthorized', `query twice, ${name}`
    )
    isProblem(
      t,
      await ask(t, service, request('GET', `/ws?token=${token}`, [...HANDSHAKE, `Sec-WebSocket-Protocol: roomcast.v1, bearer.${other}`])),
      401, 'unauthorized', `query and subprotocol, ${name}`
    )
  }
  isProblem(
    t,
    await ask(
      t, service,
      request('GET', '/ws', [...HANDSHAKE, `Sec-WebSocket-Protocol: bearer.${token}, roomcast.v1`, 'Sec-WebSocket-Protocol: bearer.abc'])
    ),
    401, 'unauthorized', 'subprotocol twice'
  )
})

test('a token in the URL is for sockets alone', async (t) => {
  const service = await startService(t)
  isProblem(t, await ask(t, service, request('GET', `/v1/rooms?token=${makeToken()}`)), 401, 'unauthorized')
  t.equal((await call(service, 'GET', '/v1/rooms?token=abc')).status, 200, 'beside one in the header it means nothing')
})

test('a token whose signature is not ours is refused', async (t) => {
  const service = await startService(t)
  const token = makeToken()
  const [header = '', payload = '', signature = ''] = token.split('.')
  const cases: Record<string, string> = {
    'alg none without a signature': makeToken({}, { header: { alg: 'none' } }),
    'alg none with a signature': `${makeToken({}, { header: { alg: 'none' } })}${signature}`,
    'alg None': forge('{"alg":"None"}', Buffer.from(payload, 'base64url').toString()),
    'no alg': forge('{"typ":"JWT"}', Buffer.from(payload, 'base64url').toString()),
    'alg null': forge('{"alg":null}', Buffer.from(payload, 'base64url').toString()),
    'alg a list': forge('{"alg":["HS256"]}', Buffer.from(payload, 'base64url').toString()),
    'alg hs256': forge('{"alg":"hs256"}', Buffer.from(payload, 'base64url').toString()),
    'alg __proto__': forge('{"alg":"__proto__"}', Buffer.from(payload, 'base64url').toString()),
    'a header that is null': forge('null', Buffer.from(payload, 'base64url').toString()),
    'a header that is a list': forge('[]', Buffer.from(payload, 'base64url').toString()),
    'HS384, which is not configured': makeToken({}, { header: { alg: 'HS384' } }),
    'HS512, which is not configured': makeToken({}, { header: { alg: 'HS512' } }),
    'RS256, which is not configured': makeToken(
      {},
      { header: { alg: 'RS256' }, key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey }
    ),
    'another secret': makeToken({}, { key: 'not the secret of the tests, but 32 bytes' }),
    'an empty secret': makeToken({}, { key: '' }),
    'another payload': `${header}.${makeToken({ sub: 'bea' }).split('.')[1]}.${signature}`,
    'half a signature': token.slice(0, -20),
    'no signature': `${header}.${payload}.`,
    'two parts': `${header}.${payload}`,
    'four parts': `${token}.${signature}`,
    'a crit header': makeToken({}, { header: { crit: ['b64'], b64: false } }),
    'a crit header with exp': makeToken({}, { header: { crit: ['exp'] } })
  }
  for (const [name, bad] of Object.entries(cases)) await isRefused(t, service, bad, name)
  await isAccepted(t, service, token, 'the good one')
})

test('claims that are missing or of the wrong kind are refused', async (t) => {
  const service = await startService(t)
  const claims: Record<string, Record<string, unknown>> = {
    'no exp': { exp: undefined },
    'exp a string': { exp: String(now() + 60) },
    'exp null': { exp: null },
    'exp a date': { exp: new Date() },
    'exp a list': { exp: [now() + 60] },
    'exp true': { exp: true },
    'exp in the past': { exp: now() - 60 },
    'exp 0': { exp: 0 },
    'exp negative': { exp: -1 },
    'no sub': { sub: undefined },
    'sub a number': { sub: 7 },
    'sub null': { sub: null },
    'sub an object': { sub: { name: 'ada' } },
    'sub a list': { sub: ['ada'] },
    'sub empty': { sub: '' },
    'sub of 256 bytes': { sub: 'a'.repeat(256) },
    'sub of 256 bytes in 128 characters': { sub: 'é'.repeat(128) },
    'sub of 2 KB': { sub: 'a'.repeat(2_048) },
    'sub with a control character': { sub: 'ada\u0000' },
    'sub with a line break': { sub: 'ada\nbea' },
    'sub of the application': { sub: 'server' },
    'sub of an API key': { sub: 'key:shop' },
    'sub with half a character': { sub: 'ada\ud800' },
    'nbf in the future': { nbf: now() + 60 },
    'nbf a string': { nbf: '1' },
    'rooms a list': { rooms: ['lobby'] },
    'rooms a string': { rooms: '**' },
    'rooms with a string of actions': { rooms: { lobby: 'join' } },
    'rooms with an unknown action': { rooms: { lobby: ['read'] } },
    'rooms with a * inside a segment': { rooms: { 'lob*': ['join'] } },
    'rooms with ** in the middle': { rooms: { 'a:**:b': ['join'] } },
    'rooms of 65 patterns': { rooms: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`room-${i}`, ['join']])) }
  }
  for (const [name, bad] of Object.entries(claims)) await isRefused(t, service, makeToken(bad), name)
  isProblem(
    t, await call(service, 'GET', '/v1/rooms', { token: makeToken({ rooms: { ['a'.repeat(8_200)]: ['join'] } }) }),
    401, 'unauthorized', 'rooms of more than 8 KB'
  )

  const good = '{"sub":"ada","exp":9999999999}'
  await isAccepted(t, service, forge('{"alg":"HS256"}', good), 'sub and exp alone')
  const payloads = [
    'null', '[]', `[${good}]`, '"ada"', '7', 'true', '', '{', '{"sub":"ada","exp":1e999}', '{"sub":"ada","exp":-1e999}', `${good}x`
  ]
  for (const payload of payloads) await isRefused(t, service, forge('{"alg":"HS256"}', payload), `payload ${payload}`)
})

test('users may have any name of 1 to 255 bytes', async (t) => {
  const service = await startService(t)
  for (const sub of [
    'a', 'a'.repeat(255), 'ada@example.com', 'auth0|123:456/789', '__proto__', 'constructor', 'toString', 'Grüße, 世界 👋', '@all', '{sub}',
    '*', ' ', '"\\'
  ]) {
    const client = await connect(service, { token: makeToken({ sub }), protocols: ['roomcast.v1'] })
    t.match(await client.next('welcome'), { user: sub })
    await close(client)
  }
})

test('clocks may differ by five seconds, and not by more', async (t) => {
  const service = await startService(t)
  await isAccepted(t, service, makeToken({ exp: now() - 2 }), 'exp 2 s ago')
  await isRefused(t, service, makeToken({ exp: now() - 6 }), 'exp 6 s ago')
  await isAccepted(t, service, makeToken({ nbf: now() + 3 }), 'nbf in 3 s')
  await isRefused(t, service, makeToken({ nbf: now() + 30 }), 'nbf in 30 s')
  await isAccepted(t, service, makeToken({ exp: now() + 100 * 366 * 86_400 }), 'exp in 100 years')
})

test('a token that was accepted is refused when it has expired, and one that was refused is accepted when its time comes', async (t) => {
  const service = await startService(t)
  const expiring = makeToken({ exp: now() + 60 })
  const coming = makeToken({ nbf: now() + 60 })
  t.equal((await call(service, 'GET', '/v1/rooms', { token: expiring })).status, 200)
  t.equal((await call(service, 'GET', '/v1/rooms', { token: coming })).status, 401)
  const { now: real } = Date
  t.intercept(Date, 'now', { value: () => real() + 66_000 })
  t.equal((await call(service, 'GET', '/v1/rooms', { token: expiring })).status, 401)
  t.equal((await call(service, 'GET', '/v1/rooms', { token: coming })).status, 200)
})

test('iss and aud are checked where they are configured', async (t) => {
  const service = await startService(t, { JWT_ISSUER: 'https://issuer.example', JWT_AUDIENCE: 'roomcast' })
  const good = { iss: 'https://issuer.example', aud: 'roomcast' }
  await isAccepted(t, service, makeToken(good), 'both right')
  await isAccepted(t, service, makeToken({ ...good, aud: ['other', 'roomcast'] }), 'one of several audiences')
  const bad: Record<string, Record<string, unknown>> = {
    'no iss': { iss: undefined },
    'another iss': { iss: 'https://other.example' },
    'iss with more behind': { iss: 'https://issuer.example.evil' },
    'iss in another case': { iss: 'HTTPS://issuer.example' },
    'iss a list': { iss: ['https://issuer.example'] },
    'iss a number': { iss: 1 },
    'iss null': { iss: null },
    'no aud': { aud: undefined },
    'another aud': { aud: 'other' },
    'an empty list of audiences': { aud: [] },
    'other audiences': { aud: ['other', 'another'] },
    'aud an object': { aud: { roomcast: true } },
    'aud a number': { aud: 1 },
    'aud null': { aud: null }
  }
  for (const [name, claims] of Object.entries(bad)) await isRefused(t, service, makeToken({ ...good, ...claims }), name)

  const careless = await startService(t)
  await isAccepted(t, careless, makeToken({ iss: 'anybody', aud: ['anything'] }), 'where nothing is configured')
})

interface Pair { publicKey: KeyObject, privateKey: KeyObject }

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })

/** A key, somebody else's of the same kind, and the algorithms that fit. */
const KINDS: Record<string, { own: Pair, stranger: Pair, algorithms: string[] }> = {
  RSA: {
    own: RSA,
    stranger: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
  },
  ...Object.fromEntries(
    [['P-256', 'ES256'], ['P-384', 'ES384'], ['P-521', 'ES512']].map(([namedCurve = '', algorithm = '']) => [
      namedCurve,
      { own: generateKeyPairSync('ec', { namedCurve }), stranger: generateKeyPairSync('ec', { namedCurve }), algorithms: [algorithm] }
    ])
  ),
  Ed25519: { own: generateKeyPairSync('ed25519'), stranger: generateKeyPairSync('ed25519'), algorithms: ['EdDSA'] }
}

const pemOf = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString()

for (const [kind, { own, stranger, algorithms }] of Object.entries(KINDS)) {
  test(`tokens by the private key are accepted: ${kind}`, async (t) => {
    const pem = pemOf(own.publicKey)
    const service = await startService(t, { JWT_SECRET: '', JWT_PUBLIC_KEY: pem.replaceAll('\n', '\\n') })
    for (const alg of algorithms) {
      await isAccepted(t, service, makeToken({}, { header: { alg }, key: own.privateKey }), alg)
      await isRefused(t, service, makeToken({}, { header: { alg }, key: stranger.privateKey }), `${alg} by another key`)
    }
    await isRefused(t, service, makeToken(), 'HS256 with a secret')
    await isRefused(t, service, makeToken({}, { header: { alg: 'none' } }), 'alg none')
    for (const key of [pem, pem.trim(), pem.replaceAll('\n', '\\n')]) {
      await isRefused(t, service, makeToken({}, { key }), 'HS256 signed with the public key')
    }
  })
}

test('a secret and a public key work side by side, each for its own algorithms', async (t) => {
  const { publicKey, privateKey } = RSA
  const service = await startService(t, { JWT_PUBLIC_KEY: pemOf(publicKey) })
  await isAccepted(t, service, makeToken(), 'HS256 with the secret')
  await isAccepted(t, service, makeToken({}, { header: { alg: 'RS256' }, key: privateKey }), 'RS256 with the key')
  await isRefused(t, service, makeToken({}, { key: pemOf(publicKey) }), 'HS256 signed with the public key')
})

test('an algorithm that fits the key and is not configured is refused', async (t) => {
  const { publicKey, privateKey } = RSA
  const service = await startService(t, { JWT_PUBLIC_KEY: pemOf(publicKey), JWT_ALGORITHMS: 'RS384, PS256,HS512' })
  for (const alg of ['RS384', 'PS256']) await isAccepted(t, service, makeToken({}, { header: { alg }, key: privateKey }), alg)
  for (const alg of ['RS256', 'RS512', 'PS384']) await isRefused(t, service, makeToken({}, { header: { alg }, key: privateKey }), alg)
  await isAccepted(t, service, makeToken({}, { header: { alg: 'HS512' } }), 'HS512')
  await isRefused(t, service, makeToken(), 'HS256')
})

test('while a secret is being replaced, the one before is accepted as well', async (t) => {
  const service = await startService(t, { JWT_SECRET: 'the new secret of the tests, 32 bytes and more', JWT_SECRET_PREVIOUS: SECRET })
  await isAccepted(t, service, makeToken({}, { key: 'the new secret of the tests, 32 bytes and more' }), 'the new one')
  await isAccepted(t, service, makeToken(), 'the one before')
  await isRefused(t, service, makeToken({}, { key: 'the secret before the one before, 32 bytes' }), 'an older one')
  await isRefused(t, service, makeToken({ exp: now() - 60 }), 'an expired one')
})

const COOKIE = { JWT_COOKIE: 'session', ALLOWED_ORIGINS: 'https://app.example.com' }

test('a token may come in a cookie where that is configured', async (t) => {
  const service = await startService(t, COOKIE)
  const ada = makeToken()
  for (const cookie of [
    `session=${ada}`, `a=b; session=${ada}; c=d`, `a=b;session=${ada}`, `xsession=abc; session=${ada}`, `session=${ada}; session=abc`
  ]) {
    t.equal((await call(service, 'GET', '/v1/rooms', { token: '', headers: { cookie } })).status, 200, cookie.slice(0, 20))
  }
  const client = await connect(service, {
    token: '',
    headers: { cookie: `session=${makeToken({ sub: 'bea' })}`, origin: 'https://app.example.com' },
    protocols: ['roomcast.v1']
  })
  t.match(await client.next('welcome'), { user: 'bea' })
  for (const cookie of [
    'session=', 'session', 'session=abc', `other=${ada}`, `SESSION=${ada}`, `session=abc; session=${ada}`, '=; ;;', 'a'.repeat(8_000)
  ]) {
    isProblem(t, await call(service, 'GET', '/v1/rooms', { token: '', headers: { cookie } }), 401, 'unauthorized', cookie.slice(0, 20))
  }
  const other = await startService(t)
  isProblem(
    t, await call(other, 'GET', '/v1/rooms', { token: '', headers: { cookie: `session=${ada}` } }),
    401, 'unauthorized', 'where it is not configured'
  )
})

test('a token that was put there on purpose goes before the cookie', async (t) => {
  const service = await startService(t, COOKIE)
  const headers = { cookie: `session=${makeToken({ sub: 'bea' })}` }
  const { body } = await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'hi' }, headers })
  t.match((await call(service, 'GET', `/v1/rooms/lobby/messages?after=${body.offset - 1}`)).body.messages, [{ from: 'ada' }])
  isProblem(t, await call(service, 'GET', '/v1/rooms', { token: 'abc', headers }), 401, 'unauthorized', 'a bad one as well')
  const client = await connect(service, { headers: { ...headers, origin: 'https://app.example.com' }, protocols: ['roomcast.v1'] })
  t.match(await client.next('welcome'), { user: 'ada' })
})

test('a page from elsewhere cannot use the cookie', async (t) => {
  const service = await startService(t, COOKIE)
  const headers = { cookie: `session=${makeToken({ rooms: { '**': ['*'] } })}` }
  const post = async (more: Record<string, string>) =>
    await call(service, 'POST', '/v1/rooms/lobby/messages', { token: '', body: { text: 'hi' }, headers: { ...headers, ...more } })
  t.equal((await post({})).status, 201, 'no page at all')
  t.equal((await post({ origin: 'https://app.example.com' })).status, 201, 'an allowed page')
  for (const origin of ['https://evil.example', 'null', 'https://app.example.com.evil.example']) {
    isProblem(t, await post({ origin }), 403, 'origin_forbidden', origin)
    isProblem(
      t, await post({ origin, 'content-type': 'text/plain' }),
      403, 'origin_forbidden', `${origin}, a request that needs no preflight`
    )
    isProblem(
      t, await call(service, 'DELETE', '/v1/rooms/lobby/messages', { token: '', headers: { ...headers, origin } }),
      403, 'origin_forbidden', `${origin}, DELETE`
    )
    isProblem(t, await refusal(service, { token: '', headers: { ...headers, origin } }), 403, 'origin_forbidden', `${origin}, socket`)
  }
  t.equal(
    (await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'hi' }, headers: { origin: 'https://evil.example' } })).status,
    201,
    'with a token of its own it may call'
  )
})
