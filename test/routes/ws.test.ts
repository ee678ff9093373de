import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { test } from 'tap'
import { WebSocket } from 'ws'
import { type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { type Client, close, connect, type ConnectOptions, refusal } from '../support/websocket-client.ts'
import { ask, HANDSHAKE, isProblem, request, speak, UPGRADE } from '../support/http.ts'

/** Resolves when the service has no connection left. */
async function empty ({ app }: Service): Promise<void> {
  await until(() => app.roomcast.hub.connections.size === 0, 'no connections')
}

async function answersPing (client: Client): Promise<boolean> {
  return (await client.ask({ type: 'ping' })).type === 'pong'
}

test('GET /ws without an upgrade is told which protocol it takes', async (t) => {
  const service = await startService(t)
  for (const headers of [
    [],
    ['Upgrade: websocket'],
    ['Connection: Upgrade'],
    ['Connection: Upgrade', 'Upgrade: h2c'],
    ['Connection: Upgrade', 'Upgrade: websocket/13']
  ]) {
    const { answers: [answer] } = await speak(t, service, request('GET', `/ws?token=${makeToken()}`, headers))
    isProblem(t, answer, 426, 'upgrade_required', `with ${headers.join(', ') || 'no header'}`)
    t.equal(answer?.headers.upgrade, 'websocket')
  }
  const { answers: [head] } = await speak(t, service, request('HEAD', '/ws', HANDSHAKE), { bodies: false })
  t.equal(head?.status, 426, 'HEAD, with an upgrade as well')
  const { answers: [post] } = await speak(t, service, request('POST', '/ws', [...HANDSHAKE, 'Content-Length: 0']))
  isProblem(t, post, 404, 'not_found', 'POST, with an upgrade as well')
  const { answers: [old] } = await speak(t, service, request('GET', `/ws?token=${makeToken()}`, HANDSHAKE).replace('HTTP/1.1', 'HTTP/1.0'))
  isProblem(t, old, 426, 'upgrade_required', 'HTTP/1.0, where an upgrade does not count')
})

test('a handshake that RFC 6455 does not allow gets a problem document and the end of the socket', async (t) => {
  const service = await startService(t)
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
  const version = 'Sec-WebSocket-Version: 13'
  const cases: Record<string, string[]> = {
    'version 12': [key, 'Sec-WebSocket-Version: 12'],
    'no version': [key],
    'two versions': [key, version, 'Sec-WebSocket-Version: 8'],
    'no key': [version],
    'an empty key': ['Sec-WebSocket-Key:', version],
    'a key that is not 16 bytes': ['Sec-WebSocket-Key: abc=', version],
    'two keys': [key, key, version],
    'a subprotocol with a space': [key, version, 'Sec-WebSocket-Protocol: roomcast v1'],
    'a subprotocol twice': [key, version, 'Sec-WebSocket-Protocol: roomcast.v1, roomcast.v1'],
    'an empty list of subprotocols': [key, version, 'Sec-WebSocket-Protocol:']
  }
  for (const [name, headers] of Object.entries(cases)) {
    const { answers: [answer], closed } = await speak(t, service, request('GET', `/ws?token=${makeToken()}`, [...UPGRADE, ...headers]))
    isProblem(t, answer, 400, 'invalid_request', name)
    t.equal(answer?.headers['sec-websocket-version'], '13', `${name}: the version that is spoken`)
    await closed
  }
  const { answers } = await speak(t, service, request('GET', `/ws?token=${makeToken()}`, HANDSHAKE))
  t.equal(answers[0]?.status, 101, 'the same without a fault')
})

test('the path of the endpoint may be written with escapes, and not with another case or more slashes', async (t) => {
  const service = await startService(t)
  const token = makeToken()
  for (const target of [`/%77s?token=${token}`, `http://elsewhere.example/ws?token=${token}`]) {
    const { answers: [answer] } = await speak(t, service, request('GET', target, HANDSHAKE))
    t.equal(answer?.status, 101, target)
  }
  for (const target of ['/WS', '/ws/', '//ws', '/ws/..', '/./ws', '/ws%3Ftoken', '/ws;a=b']) {
    const { answers: [answer], closed } = await speak(t, service, request('GET', `${target}?token=${token}`, HANDSHAKE))
    isProblem(t, answer, 404, 'not_found', target)
    await closed
  }
})

test('an upgrade in a pipeline is answered in its turn, and the service still closes', async (t) => {
  const service = await startService(t)
  const { answers } = await speak(t, service, request('GET', '/health/live') + request('GET', `/ws?token=${makeToken()}`, HANDSHAKE), {
    count: 2
  })
  t.equal(answers[0]?.status, 200)
  isProblem(t, answers[1], 426, 'upgrade_required')
})

test('only pages of the allowed origins may connect', async (t) => {
  const service = await startService(t, {
    ALLOWED_ORIGINS: 'https://app.example.com, http://localhost:5173, chrome-extension://abcdefghijklmnop, https://*.example.org'
  })
  for (const origin of [
    'https://app.example.com', 'https://APP.Example.COM', 'HTTPS://app.example.com', 'https://app.example.com:443', 'http://localhost:5173',
    'chrome-extension://abcdefghijklmnop', 'https://app.example.org'
  ]) {
    const client = await connect(service, { headers: { origin } })
    t.ok(await answersPing(client), origin)
    await close(client)
  }
  const others = [
    'https://evil.example.com', 'null', 'https://app.example.com:8443', 'http://app.example.com', 'https://app.example.com.evil.example',
    'https://evilapp.example.com', 'https://app.example.comx', 'https://example.com', 'http://localhost', 'http://localhost:51730', '*', '',
    'app.example.com', 'https://app.example.com@evil.example', 'https://app.example.com%00', 'file://',
    'https://app.example.com https://evil.example', 'https://example.org', 'https://evil-example.org', 'chrome-extension://a'
  ]
  for (const origin of others) {
    const { answers: [answer], closed } = await speak(
      t, service,
      request('GET', `/ws?token=${makeToken()}`, [...HANDSHAKE, `Origin: ${origin}`])
    )
    isProblem(t, answer, 403, 'origin_forbidden', `Origin: ${origin}`)
    await closed
  }
  t.ok(await answersPing(await connect(service)), 'what is no browser sends no Origin')
  isProblem(
    t, await refusal(service, { token: 'abc', headers: { origin: 'null' } }),
    403, 'origin_forbidden', 'the origin is looked at before the token'
  )
})

test('with * every origin may connect, the opaque one too', async (t) => {
  const service = await startService(t)
  for (const origin of ['https://anywhere.example', 'null']) {
    t.ok(await answersPing(await connect(service, { headers: { origin } })), origin)
  }
})

test('more upgrades a minute from one address than allowed are told when to come back', async (t) => {
  const service = await startService(t, { UPGRADES_PER_MINUTE: '2', TRUST_PROXY: 'true' })
  const from = (address: string): ConnectOptions => ({ headers: { 'x-forwarded-for': address } })
  const first = await connect(service, from('192.0.2.1'))
  isProblem(t, await refusal(service, { ...from('192.0.2.1'), token: 'abc' }), 401, 'unauthorized', 'a refused upgrade counts as well')
  const refused = await refusal(service, from('192.0.2.1'))
  isProblem(t, refused, 429, 'rate_limited')
  t.ok(Number(refused.headers['retry-after']) > 0 && Number(refused.headers['retry-after']) <= 60)
  t.ok(await answersPing(await connect(service, from('192.0.2.2'))), 'another address may')
  t.ok(await answersPing(first), 'and who is connected stays')
  for (const address of ['192.0.2.1:4711', '::ffff:192.0.2.1', '"[::ffff:c000:201]:80"']) {
    isProblem(t, await refusal(service, from(address)), 429, 'rate_limited', address)
  }
  const response = await fetch(`${service.url}/health/live`, { headers: { 'x-forwarded-for': '192.0.2.1' } })
  t.equal(response.status, 200, 'REST is not limited by it')
})

test('a node that is full refuses the next connection, and takes one again when there is room', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS: '2' })
  const one = await connect(service)
  const two = await connect(service, { token: makeToken({ sub: 'bea' }) })
  const refused = await refusal(service)
  isProblem(t, refused, 503, 'overloaded')
  t.equal(refused.headers['retry-after'], '5')
  t.ok(await answersPing(one) && await answersPing(two), 'the others are unaffected')
  await close(one)
  await until(() => service.app.roomcast.hub.connections.size === 1)
  t.ok(await answersPing(await connect(service)))
})

test('upgrades that are admitted at once do not make a node more than full', async (t) => {
  let release = () => {}
  const gate = new Promise<void>((resolve) => { release = resolve })
  let waiting = 0
  const service = await startService(t, { MAX_CONNECTIONS: '1' }, (app) => {
    app.addHook('preValidation', async () => {
      if (++waiting === 3) release()
      await gate
    })
  })
  const clients = await Promise.all([1, 2, 3].map(async () => await connect(service)))
  const closed = await Promise.race([
    Promise.all([clients[1]?.closed, clients[2]?.closed]),
    Promise.all([clients[0]?.closed, clients[2]?.closed]),
    Promise.all([clients[0]?.closed, clients[1]?.closed])
  ])
  t.strictSame(closed, [{ code: 1013, reason: 'Try again later' }, { code: 1013, reason: 'Try again later' }])
  t.equal(service.app.roomcast.hub.connections.size, 1)
})

test('one connection too many of a user is closed, and only that one', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_USER: '2' })
  const [one, two] = [await connect(service), await connect(service)]
  const three = await connect(service, { query: 'room=lobby' })
  three.send({ type: 'chat', text: 'is not read' })
  t.strictSame(await three.closed, { code: 4509, reason: 'Too many connections' })
  t.ok(await answersPing(one) && await answersPing(two), 'the others are unaffected')
  t.ok(await answersPing(await connect(service, { token: makeToken({ sub: 'bea' }) })), 'another user may')
  await close(one)
  await until(() => service.app.roomcast.hub.connectionsOf('ada') === 1)
  t.ok(await answersPing(await connect(service)), 'there is room again')
  t.equal(service.app.roomcast.hub.room('lobby'), undefined)
})

test('at the limit of a user, a new connection of the same client replaces the old one at once, alive or dead', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_USER: '2' })
  const tab = 'query-origin-of-a-tab'
  const others = await connect(service, { query: 'room=lobby' })
  const first = await connect(service, { query: `origin=${tab}&room=lobby` })
  await first.next('joined')
  first.ws.pause() // As after a change of network: it reads nothing and answers nothing.
  const second = await connect(service, { query: `origin=${tab}&room=lobby` })
  t.ok(await answersPing(second))
  await until(() => service.app.roomcast.hub.connections.size === 2, 'the dead connection is destroyed')
  first.ws.resume()
  t.equal((await first.closed).code, 4503)
  t.equal((await (await connect(service, { query: 'origin=origin-of-another-tab' })).closed).code, 4509)
  t.equal((await (await connect(service)).closed).code, 4509)
  const foreign = await connect(service, { token: makeToken({ sub: 'bea' }), query: `origin=${tab}` })
  t.ok(await answersPing(foreign) && await answersPing(second) && await answersPing(others), 'no other connection is replaced')
})

test('one connection too many from an address is refused; refused upgrades do not count', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_ADDRESS: '1', TRUST_PROXY: '127.0.0.1' })
  const from = (address: string): ConnectOptions => ({ headers: { 'x-forwarded-for': address } })
  for (let i = 0; i < 3; i++) isProblem(t, await refusal(service, { ...from('192.0.2.1'), token: '' }), 401, 'unauthorized')
  let client = await connect(service, from('192.0.2.1'))
  isProblem(t, await refusal(service, from('192.0.2.1')), 429, 'connection_limit')
  t.ok(await answersPing(await connect(service, from('192.0.2.2'))), 'another address may')
  await close(client)
  await until(() => service.app.roomcast.hub.connections.size === 1)
  client = await connect(service, from('192.0.2.1'))
  t.ok(await answersPing(client), 'there is room again')
})

test('an address is one address in every notation, and a text that is none is the address of the proxy', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_ADDRESS: '1', TRUST_PROXY: '1' })
  const from = (address: string): ConnectOptions => ({ headers: { 'x-forwarded-for': address } })
  for (const [first, ...others] of [
    ['192.0.2.1:40001', '192.0.2.1', '192.0.2.1:40002', '::ffff:192.0.2.1', '[::ffff:c000:201]:80'],
    ['2001:db8:1:1::1', '2001:DB8:1:1::2', '[2001:db8:1:1::3]:4711', '2001:db8:1:1:0:0:0:4%eth0'],
    ['unknown', '_hidden', 'garbage', '127.0.0.1', '::ffff:127.0.0.1']
  ] as [string, ...string[]][]) {
    t.ok(await answersPing(await connect(service, from(first))), first)
    for (const address of others) isProblem(t, await refusal(service, from(address)), 429, 'connection_limit', address)
  }
  t.ok(await answersPing(await connect(service, from('2001:db8:1:2::1'))), 'another network')
})

test('a token is found beside the password of a site', async (t) => {
  const service = await startService(t, { JWT_COOKIE: 'session', ALLOWED_ORIGINS: 'https://app.example.com' })
  const authorization = `Basic ${Buffer.from('stage:stage').toString('base64')}`
  const token = makeToken()
  const protocols = ['roomcast.v1', `bearer.${token}`]
  t.ok(await answersPing(await connect(service, { token: '', protocols, headers: { authorization } })), 'in the subprotocol')
  t.ok(await answersPing(await connect(service, { token, headers: { authorization } })), 'in the URL')
  t.ok(await answersPing(await connect(service, { token: '', headers: { authorization, cookie: `session=${token}` } })), 'in a cookie')
  isProblem(t, await refusal(service, { token: '', headers: { authorization } }), 401, 'unauthorized', 'no token')
  isProblem(t, await refusal(service, { token, headers: { authorization: 'Bearer' } }), 401, 'unauthorized', 'a Bearer without a token')
  const two = [`Authorization: Bearer ${token}`, `Authorization: ${authorization}`]
  t.equal((await ask(t, service, request('GET', '/v1/rooms', two))).status, 200, 'two headers, of which one is a token')
})

test('a hook of the application that never answers gets the client a 503, and the end of the socket', async (t) => {
  const held: (() => void)[] = []
  const stuck = async () => { await new Promise<void>((resolve) => { held.push(resolve) }) }
  const service = await startService(t, {}, (app) => {
    app.addHook('onRequest', async (request) => { if (request.url.includes('stuck=onRequest')) await stuck() })
    app.addHook('preValidation', async (request) => { if (request.url.includes('stuck=preValidation')) await stuck() })
  })
  await Promise.all(['onRequest', 'preValidation'].map(async (hook) => {
    const { answers: [answer], closed } = await speak(t, service, request('GET', `/ws?stuck=${hook}&token=${makeToken()}`, HANDSHAKE))
    isProblem(t, answer, 503, 'timeout', hook)
    await closed
  }))
  t.equal(held.length, 2)
  for (const resolve of held) resolve() // They answer after all: nobody is there any more.
  await until(() => service.app.roomcast.pendingUpgrades.size === 0, 'no upgrade is under way')
  t.equal(service.app.roomcast.hub.connections.size, 0)
  t.ok(await answersPing(await connect(service)), 'the next one is served')
})

test('a client that disconnects while an earlier hook of the application runs is not counted', async (t) => {
  let release: (() => void) | undefined
  let isClosed: Promise<unknown> | undefined
  const service = await startService(t, { MAX_CONNECTIONS_PER_ADDRESS: '1' }, (app) => {
    app.addHook('onRequest', async (request) => {
      if (!request.url.includes('slow')) return
      isClosed = new Promise((resolve) => { request.raw.socket.once('close', resolve) })
      await new Promise<void>((resolve) => { release = resolve })
    })
  })
  const client = connectSocket(service.port, '127.0.0.1').on('error', () => {})
  client.write(request('GET', `/ws?slow&token=${makeToken()}`, HANDSHAKE))
  await until(() => release !== undefined)
  client.resetAndDestroy() // Node sees this end although it does not read from the socket.
  await isClosed
  release?.()
  t.ok(await answersPing(await connect(service)), 'the address has no connection')
  t.equal(service.app.roomcast.pendingUpgrades.size, 0)
})

test('a client that goes away while a hook of the application makes it wait leaves nothing', async (t) => {
  let release = () => {}
  const service = await startService(t, {}, (app) => {
    app.addHook('preValidation', async (request) => {
      if (request.url.includes('slow')) await new Promise<void>((resolve) => { release = resolve })
    })
  })
  const ws = new WebSocket(`ws://127.0.0.1:${service.port}/ws?slow&token=${makeToken()}`)
  ws.on('error', () => {})
  await until(() => service.app.roomcast.pendingUpgrades.size === 1)
  ws.terminate()
  release()
  t.ok(await answersPing(await connect(service)), 'the next one is served')
  await until(
    () => service.app.roomcast.pendingUpgrades.size === 0 && service.app.roomcast.hub.connections.size === 1,
    'the other one is gone'
  )
})

test('a room in the URL with a name that no room can have is refused before the upgrade', async (t) => {
  const service = await startService(t)
  for (const room of [
    '', 'a'.repeat(129), 'a%2Fb', 'a/b', '%20', '%E2%80%AEolleh', '%00', '%0A', '@all', '@user', '%40user%3Abea', 'a%25', '*', 'caf%C3%A9',
    '%ff', '{"a":1}', '%F0%9F%98%80'
  ]) {
    const { answers: [answer], closed } = await speak(
      t, service,
      request('GET', `/ws?token=${makeToken()}&room=lobby&room=${room}`, HANDSHAKE)
    )
    isProblem(t, answer, 400, 'invalid_room', `room=${room.slice(0, 20)}`)
    await closed
  }
  const client = await connect(service, { query: `room=${'a'.repeat(128)}&room=A-z_0.9:@=|%2B~&room=__proto__&room=constructor&room=..` })
  for (const room of ['a'.repeat(128), 'A-z_0.9:@=|+~', '__proto__', 'constructor', '..']) {
    t.match(await client.next('joined'), { room, audience: 1 })
  }
})

test('a room that is named several times in the URL is joined once, and a forbidden one is told in a frame', async (t) => {
  const service = await startService(t)
  const client = await connect(service, {
    query: 'room=one&room=two&room=one&room[]=three',
    token: makeToken({ rooms: { one: ['join'] } })
  })
  t.match(await client.next('joined'), { room: 'one' })
  t.match(await client.next('error'), { code: 'forbidden', text: 'join is not granted in two' })
  t.strictSame(await client.drain(), [])
})

test('an origin that names no tab is refused', async (t) => {
  const service = await startService(t)
  for (const origin of ['', 'short', 'a'.repeat(65), 'a'.repeat(15) + '%20', 'a'.repeat(16) + '&origin=' + 'b'.repeat(16)]) {
    isProblem(t, await refusal(service, { query: `origin=${origin}` }), 400, 'invalid_request', `origin=${origin.slice(0, 20)}`)
  }
  const client = await connect(service, { query: `origin=${'a'.repeat(16)}`, protocols: ['roomcast.v1'] })
  t.match(await client.next('welcome'), { origin: 'a'.repeat(16) })
})

test('absurd query strings are read as far as they make sense', async (t) => {
  const service = await startService(t)
  const token = makeToken()
  for (const query of [
    `&&&token=${token}&&=&a`,
    `token=${token}&__proto__=x&constructor=y&toString=z&hasOwnProperty=1`,
    `token=${token}&${'a&'.repeat(3_000)}`,
    `token=${token}&%=%%&%u0041=1`
  ]) {
    const { answers: [answer] } = await speak(t, service, request('GET', `/ws?${query}`, HANDSHAKE))
    t.equal(answer?.status, 101, query.slice(-30))
  }
  const { answers: [answer], closed } = await speak(t, service, request('GET', `/ws?token=${token}?room=lobby`, HANDSHAKE))
  isProblem(t, answer, 401, 'unauthorized', 'a second question mark')
  await closed
})

test('with the subprotocol roomcast.v1 comes a welcome first', async (t) => {
  const service = await startService(t, { HEARTBEAT_SECONDS: '7' })
  const exp = Math.floor(Date.now() / 1_000) + 60
  const client = await connect(service, { protocols: ['something.else', 'roomcast.v1'], token: makeToken({ exp }), query: 'room=lobby' })
  t.equal(client.ws.protocol, 'roomcast.v1')
  const welcome = await client.next(() => true)
  const { connection, origin, rooms, ...rest } = welcome as Record<string, unknown> & { type: string }
  t.strictSame(rest, { type: 'welcome', user: 'ada', expiresAt: exp * 1_000, heartbeatMs: 7_000 })
  t.type(connection, 'string')
  t.equal(origin, connection)
  t.match(rooms, [{ room: '@user', epoch: String, offset: 0 }, { room: '@all', epoch: String, offset: 0 }])
  t.match(await client.next(() => true), { type: 'joined', room: 'lobby' })
})

test('a connection lasts no longer than the longest token lifetime, whatever exp says', async (t) => {
  const service = await startService(t, { MAX_TOKEN_LIFETIME_SECONDS: '100' })
  const before = Date.now()
  const client = await connect(service, {
    protocols: ['roomcast.v1'],
    token: makeToken({ exp: Math.floor(before / 1_000) + 100 * 366 * 86_400 })
  })
  const { expiresAt } = await client.next('welcome') as unknown as { expiresAt: number }
  t.ok(expiresAt >= before + 100_000 && expiresAt <= Date.now() + 100_000)
})

test('without the subprotocol there is no welcome, and none is selected', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  t.equal(client.ws.protocol, '')
  t.match(await client.next(() => true), { type: 'joined', room: 'lobby' })
  const { answers: [answer] } = await speak(
    t, service,
    request('GET', `/ws?token=${makeToken()}`, [...HANDSHAKE, 'Sec-WebSocket-Protocol: chat, ROOMCAST.V1'])
  )
  t.equal(answer?.status, 101)
  t.equal(answer?.headers['sec-websocket-protocol'], undefined)
})

test('a token in a subprotocol entry is accepted and never echoed', async (t) => {
  const service = await startService(t)
  const token = makeToken({ sub: 'bea' })
  for (const protocols of [[`bearer.${token}`, 'roomcast.v1'], ['roomcast.v1', `bearer.${token}`]]) {
    const client = await connect(service, { token: '', protocols })
    t.equal(client.ws.protocol, 'roomcast.v1')
    t.match(await client.next('welcome'), { user: 'bea' })
  }
  const { answers: [answer] } = await speak(
    t, service,
    request('GET', '/ws', [...HANDSHAKE, `Sec-WebSocket-Protocol: bearer.${token}, other`])
  )
  t.equal(answer?.status, 101)
  t.notOk(JSON.stringify(answer).includes(token), 'beside a subprotocol that is not ours')
})

test('a token as the only subprotocol is refused, for a browser would fail the connection', async (t) => {
  const service = await startService(t)
  isProblem(t, await refusal(service, { token: '', protocols: [`bearer.${makeToken()}`] }), 400, 'invalid_request')
  isProblem(
    t, await refusal(service, { token: '', protocols: [`bearer.${makeToken()}`, 'bearer.abc'] }),
    400, 'invalid_request', 'two of them'
  )
  isProblem(t, await refusal(service, { protocols: ['bearer.abc'] }), 400, 'invalid_request', 'with a good token elsewhere')
})

test('a browser cannot read a 401, so it gets the upgrade and close 4001', async (t) => {
  const service = await startService(t)
  const bad = { none: '', garbage: 'abc', expired: makeToken({ exp: 1 }), unsigned: makeToken({}, { header: { alg: 'none' } }) }
  for (const [name, token] of Object.entries(bad)) {
    const client = await connect(service, {
      token,
      headers: { origin: 'https://app.example.com' },
      query: 'room=lobby',
      protocols: ['roomcast.v1']
    })
    client.send({ type: 'join', room: 'lobby' })
    t.strictSame(await client.closed, { code: 4001, reason: 'Unauthorized' }, name)
  }
  await empty(service)
  t.equal(service.app.roomcast.hub.room('lobby'), undefined, 'nothing was joined')
  isProblem(
    t, await refusal(service, { token: 'abc', headers: { origin: 'https://app.example.com' }, query: 'room=@all' }),
    400, 'invalid_room', 'what is not about the token is refused as ever'
  )
})

test('a browser with a bad token that does not answer the close frame is not kept', async (t) => {
  const service = await startService(t)
  const { answers: [answer], closed } = await speak(
    t, service,
    request('GET', '/ws?token=abc', [...HANDSHAKE, 'Origin: https://app.example.com'])
  )
  t.equal(answer?.status, 101)
  await closed
})

test('a refused upgrade says that its connection ends', async (t) => {
  const service = await startService(t)
  const { answers: [answer], closed } = await speak(t, service, request('GET', '/ws', HANDSHAKE))
  isProblem(t, answer, 401, 'unauthorized')
  t.equal(answer?.headers.connection, 'close')
  await closed
})

test('1,000 refused upgrades leave nothing behind', async (t) => {
  const service = await startService(t, { MAX_CONNECTIONS_PER_ADDRESS: '1000' })
  for (let i = 0; i < 20; i++) {
    await Promise.all(Array.from({ length: 50 }, async () => {
      const { closed } = await speak(t, service, request('GET', '/ws?token=abc', HANDSHAKE))
      await closed
    }))
  }
  await until(() => service.app.roomcast.pendingUpgrades.size === 0, 'no upgrade is under way')
  const connections = await new Promise<number>((resolve) => { service.app.server.getConnections((_error, count) => { resolve(count) }) })
  t.equal(connections, 0)
  const client = await connect(service)
  client.ws.close()
  await once(client.ws, 'close')
})
