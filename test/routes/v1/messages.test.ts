import { test } from 'tap'
import { call, startService } from '../../support/service.ts'
import { makeToken } from '../../support/token.ts'
import { connect } from '../../support/websocket-client.ts'
import { ask, isProblem, request } from '../../support/http.ts'

const ROOM = '/v1/rooms/lobby/messages'
const EVERYTHING = makeToken({ rooms: { '**': ['*'], '@all': ['*'], '@user:*': ['*'] } })

test('a text, any JSON and bytes get to the members as they were posted, and the poster learns where they stand', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  const { epoch } = await client.next('joined')
  const before = Date.now()
  const posts = [
    { sent: { body: { text: 'Grüße 👋' } }, got: { text: 'Grüße 👋' } },
    {
      sent: { body: { data: { id: 7, list: [null, 1.5] }, event: 'order.created' } },
      got: { data: { id: 7, list: [null, 1.5] }, event: 'order.created' }
    },
    { sent: { body: { data: null } }, got: { data: null } },
    { sent: { body: { text: '' } }, got: { text: '' } },
    { sent: { body: 'plain', headers: { 'content-type': 'text/plain' } }, got: { text: 'plain' } },
    {
      sent: { body: 'plain', headers: { 'content-type': 'text/plain; charset=utf-8' } },
      query: '?event=greeting',
      got: { text: 'plain', event: 'greeting' }
    }
  ]
  let offset = 0
  for (const { sent, query = '', got } of posts) {
    const { status, headers, body } = await call(service, 'POST', `${ROOM}${query}`, sent)
    t.equal(status, 201)
    t.equal(headers.get('idempotent-replayed'), null)
    t.strictSame(body, { room: 'lobby', epoch, offset: ++offset, time: body.time, audience: 1 })
    t.ok(Number.isInteger(body.time) && body.time >= before && body.time <= Date.now())
    t.strictSame(await client.next('message'), { type: 'message', room: 'lobby', offset, time: body.time, from: 'ada', ...got })
  }

  const bytes = Buffer.from([0, 1, 2, 253, 254, 255])
  const { body } = await call(service, 'POST', `${ROOM}?event=blob`, { body: bytes })
  t.strictSame(await client.next('message'), {
    type: 'message', room: 'lobby', offset: ++offset, time: body.time, from: 'ada', event: 'blob', binary: 6
  })
  t.strictSame(await client.nextBinary(), bytes)
  await call(service, 'POST', ROOM, { body: '', headers: { 'content-type': 'application/octet-stream' } })
  t.match(await client.next('message'), { binary: 0 })
  t.equal((await client.nextBinary()).length, 0)
})

test('a room nobody is in takes messages as well, and has an audience of none', async (t) => {
  const service = await startService(t)
  const { body } = await call(service, 'POST', '/v1/rooms/empty/messages', { body: { text: 'hi' } })
  t.match(body, { room: 'empty', offset: 1, audience: 0 })
})

test('time never decreases within a room', async (t) => {
  const service = await startService(t)
  const { body: first } = await call(service, 'POST', ROOM, { body: { text: 'one' } })
  const { now } = Date
  t.intercept(Date, 'now', { value: () => now() - 60_000 })
  const { body: second } = await call(service, 'POST', ROOM, { body: { text: 'two' } })
  t.ok(second.time >= first.time)
})

test('exclude leaves out the connections of an origin, and nobody else', async (t) => {
  const service = await startService(t)
  const tab = 'a-tab-of-the-page'
  const [here, there, other] = [
    await connect(service, { query: `origin=${tab}&room=lobby` }),
    await connect(service, { query: `origin=${tab}&room=lobby` }),
    await connect(service, { query: 'room=lobby' })
  ]
  for (const client of [here, there, other]) await client.next('joined')
  await call(service, 'POST', ROOM, { body: { text: 'one', exclude: tab } })
  await call(service, 'POST', `${ROOM}?exclude=${tab}`, { body: 'two', headers: { 'content-type': 'text/plain' } })
  await call(service, 'POST', '/v1/messages', { body: { messages: [{ room: 'lobby', text: 'three', exclude: tab }] } })
  await call(service, 'POST', ROOM, { body: { text: 'four', exclude: 'of-nobody-in-this-room' } })
  for (const client of [here, there]) t.match(await client.next('message'), { text: 'four', offset: 4 })
  for (const text of ['one', 'two', 'three', 'four']) t.match(await other.next('message'), { text })
  t.notMatch(await call(service, 'GET', ROOM), new RegExp(tab), 'an origin is never shown to others')
})

test('a broadcast gets to every connection, in a room or not', async (t) => {
  const service = await startService(t)
  const clients = [await connect(service), await connect(service, { token: makeToken({ sub: 'bea', rooms: {} }), query: 'room=lobby' })]
  for (const client of clients) await client.ask({ type: 'ping' })
  const { status, body } = await call(service, 'POST', '/v1/broadcast', { body: { text: 'to all' }, token: EVERYTHING })
  t.equal(status, 201)
  t.match(body, { room: '@all', epoch: String, offset: 1, audience: 2 })
  for (const client of clients) t.match(await client.next('message'), { room: '@all', text: 'to all', from: 'ada', offset: 1 })
})

test('a message to a user gets to all of their connections, whatever the name', async (t) => {
  const service = await startService(t)
  const bystander = await connect(service, { token: makeToken({ sub: 'bystander' }) })
  const names = [
    'bea', 'auth0|7', 'a:b:c', 'a/b', '@all', 'Grüße 世界👋', 'a%2Fb', '100%', '?#[]', '+ +', '__proto__', '\\', 'x'.repeat(255),
    'é'.repeat(127), '"', '{sub}', '*', '**'
  ]
  for (const sub of names) {
    const clients = [await connect(service, { token: makeToken({ sub }) }), await connect(service, { token: makeToken({ sub }) })]
    for (const client of clients) await client.ask({ type: 'ping' })
    const { status, body } = await call(service, 'POST', `/v1/users/${encodeURIComponent(sub)}/messages`, {
      body: { text: `for ${sub}` },
      token: EVERYTHING
    })
    t.equal(status, 201, sub)
    t.match(body, { room: `@user:${sub}`, audience: 2 })
    for (const client of clients) t.match(await client.next('message'), { room: '@user', text: `for ${sub}`, from: 'ada' })
  }
  await bystander.ask({ type: 'ping' })
  t.strictSame(
    (await bystander.drain()).filter((frame) => !Buffer.isBuffer(frame) && frame.type === 'message'),
    [],
    'nobody else got any of them'
  )
})

test('a user that cannot be is refused', async (t) => {
  const service = await startService(t)
  for (const [name, status, code] of [
    ['', 400, 'invalid_request'],
    ['%00', 400, 'invalid_request'],
    ['a%0Ab', 400, 'invalid_request'],
    ['%ff', 400, 'invalid_request'],
    ['%C2%80', 400, 'invalid_request'],
    ['x'.repeat(256), 400, 'invalid_request'],
    ['%C3%A9'.repeat(128), 400, 'invalid_request'],
    ['x'.repeat(1_025), 414, 'uri_too_long']
  ] as const) {
    isProblem(
      t, await call(service, 'POST', `/v1/users/${name}/messages`, { body: { text: 'hi' }, token: EVERYTHING }),
      status, code, `/v1/users/${name.slice(0, 20)}`
    )
  }
})

test('a room with a name that no room can have is refused on every route', async (t) => {
  const service = await startService(t)
  const names = [
    'a'.repeat(129), 'a'.repeat(1_000), 'a%2Fb', '%E2%80%AEolleh', '%00', 'a%00', '%0A', '%20', '@all', '@user', '%40all', '%40user%3Abea',
    '@user:ada', 'a%25', '*', 'caf%C3%A9', '%F0%9F%98%80', 'a,b', "a'b", 'a"b', '(a)', '%7Ba%7D', 'a%5Cb', '%2e%2e%2f'
  ]
  for (const name of names) {
    for (const [method, path] of [
      ['POST', `/v1/rooms/${name}/messages`],
      ['GET', `/v1/rooms/${name}/messages`],
      ['DELETE', `/v1/rooms/${name}/messages`],
      ['GET', `/v1/rooms/${name}`]
    ] as const) {
      isProblem(
        t, await call(service, method, path, { token: EVERYTHING, ...(method === 'POST' && { body: { text: 'hi' } }) }),
        400, 'invalid_room', `${method} ${path.slice(0, 40)}`
      )
    }
    const { status, body } = await call(service, 'POST', '/v1/messages', {
      token: EVERYTHING,
      body: { messages: [{ room: decodeURIComponent(name), text: 'hi' }] }
    })
    t.match([status, body.results], [207, [{ error: { status: 400, code: 'invalid_room' } }]], `in a batch, ${name.slice(0, 20)}`)
  }
  isProblem(t, await call(service, 'GET', `/v1/rooms/${'a'.repeat(1_025)}`), 414, 'uri_too_long')
  for (const name of ['%ff', '%', '%zz', 'a%', '%C3%28', '%ED%A0%80']) {
    isProblem(t, await ask(t, service, request('GET', `/v1/rooms/${name}`)), 400, 'invalid_request', name)
  }
  for (const name of [
    'a'.repeat(128), 'A-z_0.9:@=%7C+~', '%6Cobby', '__proto__', 'constructor', 'toString', '-', '...', '%2B', ':', '::', '='
  ]) {
    const { status, body } = await call(service, 'POST', `/v1/rooms/${name}/messages`, {
      body: { text: 'hi' },
      token: makeToken({ rooms: { '**': ['*'] } })
    })
    t.match([status, body.room], [201, decodeURIComponent(name)], name)
  }
})

test('a batch keeps the order of each room, and answers in the order of its items', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=one&room=two' })
  await client.next('joined')
  await client.next('joined')
  const messages = Array.from({ length: 100 }, (_, i) => ({ room: i % 3 === 0 ? 'two' : 'one', data: i, event: `e${i}` }))
  const { status, body } = await call(service, 'POST', '/v1/messages', { body: { messages } })
  t.equal(status, 201)
  const offsets: Record<string, number> = { one: 0, two: 0 }
  t.strictSame(
    body.results.map(({ room, offset, audience }: Record<string, unknown>) => ({ room, offset, audience })),
    messages.map(({ room }) => ({ room, offset: ++(offsets[room] as number), audience: 1 }))
  )
  for (const room of ['one', 'two']) {
    for (const { data, event } of messages.filter((message) => message.room === room)) {
      t.match(await client.next((frame) => frame.room === room), { data, event })
    }
  }
})

test('a bad item of a batch does not keep the others out', async (t) => {
  const service = await startService(t)
  const token = makeToken({ rooms: { lobby: ['publish'] } })
  const messages = [
    { room: 'lobby', text: 'first' },
    { room: 'private', text: 'x' },
    { room: '@all', text: 'x' },
    { text: 'x' },
    { room: 'lobby' },
    { room: 'lobby', text: 'x', data: 1 },
    { room: 'lobby', text: 'x', base64: '' },
    { room: 'lobby', base64: 'no base64!' },
    { room: 'lobby', base64: 7 },
    null,
    7,
    'x',
    [],
    {},
    { room: 7, text: 'x' },
    { room: 'lobby', text: 'x', key: '' },
    { room: 'lobby', text: 'x', exclude: 'short' },
    { room: 'lobby', text: 'x', event: '' },
    { room: 'lobby', base64: Buffer.from([1, 2]).toString('base64'), event: 'blob' },
    { room: 'lobby', data: 'last' }
  ]
  const { status, body } = await call(service, 'POST', '/v1/messages', { token, body: { messages } })
  t.equal(status, 207)
  const codes = body.results.map(({ error, offset }: { error?: { code: string }, offset?: number }) => error?.code ?? offset)
  const bad = 'invalid_request'
  t.strictSame(codes, [1, 'forbidden', 'invalid_room', bad, bad, bad, bad, bad, bad, bad, bad, bad, bad, bad, bad, bad, bad, bad, 2, 3])
  for (const { error } of body.results.filter((result: object) => 'error' in result)) {
    t.match(error, {
      type: `urn:roomcast:error:${error.code}`, title: String, status: Number, detail: String, code: String, retryable: Boolean
    })
  }
  const { body: history } = await call(service, 'GET', ROOM)
  t.match(history.messages, [{ text: 'first' }, { event: 'blob', base64: 'AQI=' }, { data: 'last' }])
})

test('a batch has 1 to 100 items', async (t) => {
  const service = await startService(t)
  const item = { room: 'lobby', text: 'hi' }
  for (const messages of [[], Array.from({ length: 101 }, () => item), item, null, 'x', { 0: item, length: 1 }]) {
    isProblem(
      t, await call(service, 'POST', '/v1/messages', { body: { messages } }),
      400, 'invalid_request', JSON.stringify(messages).slice(0, 40)
    )
  }
  isProblem(t, await call(service, 'POST', '/v1/messages', { body: item }), 400, 'invalid_request', 'a message that is no batch')
  t.equal((await call(service, 'GET', ROOM)).body.offset, 0, 'nothing was published')
})

test('the same key and the same message are one message, and the answer says that it came again', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const kinds: { body: unknown, headers?: Record<string, string> }[] = [
    { body: { text: 'hi' } },
    { body: { data: { a: [1, 2] }, event: 'x' } },
    { body: 'plain', headers: { 'content-type': 'text/plain' } },
    { body: Buffer.from([1, 2, 3]) }
  ]
  for (const [i, { body, headers }] of kinds.entries()) {
    const options = { body, headers: { ...headers, 'idempotency-key': `key-${i}` } }
    const first = await call(service, 'POST', ROOM, options)
    t.equal(first.headers.get('idempotent-replayed'), null)
    for (let again = 0; again < 2; again++) {
      const replay = await call(service, 'POST', ROOM, options)
      t.equal(replay.status, 201)
      t.equal(replay.headers.get('idempotent-replayed'), 'true')
      t.strictSame(replay.body, first.body)
    }
    t.match(await client.next('message'), { offset: i + 1 })
  }
  t.equal((await call(service, 'GET', ROOM)).body.offset, kinds.length)
})

test('twenty at once with the same key are one message', async (t) => {
  const service = await startService(t)
  const answers = await Promise.all(
    Array.from({ length: 20 }, async () => await call(service, 'POST', ROOM, { body: { text: 'hi' }, headers: { 'idempotency-key': 'k' } }))
  )
  t.ok(answers.every(({ status, body }) => status === 201 && body.offset === 1))
  t.equal(answers.filter(({ headers }) => headers.get('idempotent-replayed') === null).length, 1)
})

test('the same key with another message is a conflict, and publishes nothing', async (t) => {
  const service = await startService(t)
  const headers = { 'idempotency-key': 'k' }
  await call(service, 'POST', ROOM, { body: { text: 'hi' }, headers })
  const others = [{ text: 'ho' }, { data: 'hi' }, { text: 'hi', event: 'x' }]
  for (const body of others) {
    isProblem(t, await call(service, 'POST', ROOM, { body, headers }), 422, 'idempotency_conflict', JSON.stringify(body))
  }
  isProblem(t, await call(service, 'POST', ROOM, { body: Buffer.from('hi'), headers }), 422, 'idempotency_conflict', 'bytes')
  const plain = await call(service, 'POST', ROOM, { body: 'hi', headers: { ...headers, 'content-type': 'text/plain' } })
  t.equal(plain.headers.get('idempotent-replayed'), 'true', 'the same message in another wrapping is the same message')
  const excluding = await call(service, 'POST', ROOM, { body: { text: 'hi', exclude: 'a'.repeat(16) }, headers })
  t.equal(excluding.headers.get('idempotent-replayed'), 'true', 'whom it leaves out is no part of it')
  t.equal((await call(service, 'GET', ROOM)).body.offset, 1)
})

test('a key is its caller\'s and its room\'s own', async (t) => {
  const service = await startService(t)
  const headers = { 'idempotency-key': 'k' }
  const offsets = []
  for (const [path, token] of [
    [ROOM, EVERYTHING],
    [ROOM, makeToken({ sub: 'bea' })],
    ['/v1/rooms/other/messages', EVERYTHING],
    ['/v1/broadcast', EVERYTHING],
    ['/v1/users/ada/messages', EVERYTHING],
    ['/v1/users/bea/messages', EVERYTHING]
  ] as const) {
    const answer = await call(service, 'POST', path, { body: { text: path }, token, headers })
    t.equal(answer.headers.get('idempotent-replayed'), null)
    offsets.push(answer.body.offset)
  }
  t.strictSame(offsets, [1, 2, 1, 1, 1, 1])
  const { headers: again } = await call(service, 'POST', ROOM, {
    body: { text: ROOM },
    token: makeToken({ jti: 'another token of the same user' }),
    headers
  })
  t.equal(again.get('idempotent-replayed'), 'true', 'another token of the same user is the same caller')
})

test('a key holds on a batch, on a route of its own and on a socket alike', async (t) => {
  const service = await startService(t)
  const messages = [
    { room: 'lobby', text: 'hi', key: 'k' },
    { room: 'lobby', text: 'ho' },
    { room: 'lobby', text: 'hi', key: 'k' },
    { room: 'lobby', text: 'other', key: 'k' }
  ]
  const { status, body } = await call(service, 'POST', '/v1/messages', { body: { messages } })
  t.equal(status, 207)
  t.match(body.results, [
    { offset: 1 },
    { offset: 2 },
    { offset: 1, replayed: true },
    { error: { code: 'idempotency_conflict', status: 422 } }
  ])
  t.notOk('replayed' in body.results[0])
  const { headers } = await call(service, 'POST', ROOM, { body: { text: 'hi' }, headers: { 'idempotency-key': 'k' } })
  t.equal(headers.get('idempotent-replayed'), 'true')
  const { status: all } = await call(service, 'POST', '/v1/messages', { body: { messages: messages.slice(0, 1) } })
  t.equal(all, 201, 'a replay is no failure')
})

test('a key is 1 to 255 characters, without control characters', async (t) => {
  const service = await startService(t)
  const headers = [`Authorization: Bearer ${EVERYTHING}`, 'Content-Type: text/plain', 'Content-Length: 2']
  const requestWith = (key: string) => request('POST', ROOM, [...headers, `Idempotency-Key: ${key}`], 'hi')
  for (const key of ['', 'a'.repeat(256), 'a\tb']) {
    isProblem(t, await ask(t, service, requestWith(key)), 400, 'invalid_request', `key ${key.slice(0, 10)}`)
  }
  for (const key of ['a'.repeat(255), '"8e03978e-40d5-43dd-bc93-6894a57f9324"', '__proto__', 'Grüße', ' x ']) {
    const answer = await ask(t, service, Buffer.from(requestWith(key), 'latin1'))
    t.match([answer.status, answer.headers['idempotent-replayed']], [201, undefined], key.slice(0, 20))
  }
  const twice = ['Idempotency-Key: one', 'Idempotency-Key: two', ...headers]
  t.equal((await ask(t, service, request('POST', ROOM, twice, 'hi'))).status, 201, 'two of them are one, as HTTP joins them')
  t.equal((await ask(t, service, request('POST', ROOM, twice, 'hi'))).headers['idempotent-replayed'], 'true')
})

test('a key is the same over every entry point, also if it is not ASCII', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby', token: EVERYTHING })
  await client.next('joined')
  const headers = [`Authorization: Bearer ${EVERYTHING}`, 'Content-Type: application/json', 'Content-Length: 10']
  const batch = async (key: string) =>
    (await call(service, 'POST', '/v1/messages', { token: EVERYTHING, body: { messages: [{ room: 'lobby', data: 1, key }] } })).body
  for (const key of ['größe-1', 'é', '世界', '👋', 'ÿ', '"quoted"', 'ö'.repeat(255)]) {
    const sent = Buffer.from(request('POST', ROOM, [...headers, `Idempotency-Key:   ${key}  `], '{"data":1}'))
    const { offset } = JSON.parse((await ask(t, service, sent)).body)
    const { results: [item] } = await batch(key)
    const ack = await client.ask({ type: 'publish', room: 'lobby', data: 1, key })
    t.strictSame([item.offset, item.replayed, ack.offset], [offset, true, offset], key.slice(0, 20))
    const { position } = await service.app.rooms.as({ user: 'ada', grants: { '**': ['publish'] } }).publish('lobby', { data: 1 }, { key })
    t.equal(position?.offset, offset, key.slice(0, 20))
    if (Buffer.from(key, 'latin1').toString('latin1') === key) {
      const options = { token: EVERYTHING, body: { data: 1 }, headers: { 'idempotency-key': key } }
      const { headers } = await call(service, 'POST', ROOM, options)
      t.equal(headers.get('idempotent-replayed'), 'true', 'as browsers send it, in ISO 8859-1')
    }
  }
  for (const key of ['ö'.repeat(256), 'a\u00e9\tb']) {
    const sent = request('POST', ROOM, [...headers, `Idempotency-Key: ${key}`], '{"data":1}')
    isProblem(t, await ask(t, service, sent), 400, 'invalid_request')
  }
  for (const key of [' k', 'k ', ' ']) {
    const { results } = await batch(key)
    t.match(results, [{ error: { code: 'invalid_request' } }], 'a header cannot have spaces at its ends')
    t.match(await client.ask({ type: 'publish', room: 'lobby', data: 1, key }), { code: 'invalid_frame' })
  }
})

test('a refused publish does not use its key up', async (t) => {
  const service = await startService(t)
  const headers = { 'idempotency-key': 'k' }
  isProblem(t, await call(service, 'POST', ROOM, { body: { text: 'hi' }, headers, token: makeToken({ rooms: {} }) }), 403, 'forbidden')
  isProblem(t, await call(service, 'POST', ROOM, { body: { text: 7 }, headers }), 400, 'invalid_request')
  const { status, headers: answered } = await call(service, 'POST', ROOM, { body: { text: 'hi' }, headers })
  t.match([status, answered.get('idempotent-replayed')], [201, null])
})
