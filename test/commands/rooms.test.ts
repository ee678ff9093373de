import { test } from 'tap'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { type Client, close, connect, type Frame } from '../support/websocket-client.ts'

/** Somebody's connection. */
async function connectAs (service: Service, sub: string, query = ''): Promise<Client> {
  return await connect(service, { token: makeToken({ sub }), query })
}

/** What came meanwhile, of a type. */
async function drained (client: Client, type: string): Promise<Frame[]> {
  return (await client.drain()).filter((item): item is Frame => !Buffer.isBuffer(item) && item.type === type)
}

test('a message is the same whichever door it came in by and goes out of', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  const path = '/v1/rooms/lobby/messages'
  await client.next('joined')

  // In by REST, out by the socket.
  await call(service, 'POST', path, { body: { text: 'REST ß', event: 'said' } })
  t.match(await client.next('message'), { offset: 1, text: 'REST ß', event: 'said', from: 'ada' })
  await call(service, 'POST', path, { body: { data: { a: [null] } } })
  t.match(await client.next('message'), { offset: 2, data: { a: [null] } })
  await call(service, 'POST', `${path}?event=blob`, { body: Buffer.from([1, 2, 255]) })
  t.match(await client.next('message'), { offset: 3, binary: 3, event: 'blob' })
  t.strictSame(await client.nextBinary(), Buffer.from([1, 2, 255]))
  await call(service, 'POST', path, { body: 'plain', headers: { 'content-type': 'text/plain' } })
  t.match(await client.next('message'), { offset: 4, text: 'plain' })
  const { body: batch } = await call(service, 'POST', '/v1/messages', {
    body: { messages: [{ room: 'lobby', base64: 'AP8=' }, { room: 'lobby', text: 'last' }] }
  })
  t.match(batch.results, [{ offset: 5 }, { offset: 6 }])
  t.strictSame(await client.nextBinary(), Buffer.from([0, 255]))

  // In by the socket, out by REST: the history says the same by both doors.
  await client.ask({ type: 'chat', text: 'socket' })
  await client.ask({ type: 'publish', data: false, event: 'no' })
  client.send(Buffer.from('bytes'))
  await client.nextBinary()
  const { body } = await call(service, 'GET', path)
  t.equal(body.messages.length, 9)
  t.match(body.messages.slice(6), [{ text: 'socket' }, { data: false, event: 'no' }, { base64: 'Ynl0ZXM=' }])
  t.strictSame((await client.ask({ type: 'history', room: 'lobby' })).messages, body.messages)
})

test('a key is one message by either door, and another body under it is a conflict', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const post = async (key: string, body: object, room = 'lobby', sub = 'ada') =>
    await call(service, 'POST', `/v1/rooms/${room}/messages`, { body, headers: { 'idempotency-key': key }, token: makeToken({ sub }) })

  // Names that are something on every object are names like any other.
  for (const key of ['k', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'x'.repeat(255)]) {
    const first = await post(key, { data: { key } })
    const ack = await client.ask({ type: 'publish', data: { key }, key })
    t.equal(ack.offset, first.body.offset, `REST first, then the frame: ${key.slice(0, 20)}`)
    t.equal((await client.ask({ type: 'publish', data: { key }, key })).offset, ack.offset)
    t.equal((await client.ask({ type: 'publish', data: 'another', key })).code, 'idempotency_conflict')
    t.match(await drained(client, 'message'), [{ data: { key } }], 'one message')
  }

  const ack = await client.ask({ type: 'publish', data: 1, key: 'frame first', event: 'e' })
  const again = await post('frame first', { data: 1, event: 'e' })
  t.equal(again.body.offset, ack.offset)
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  t.equal((await post('frame first', { data: 2, event: 'e' })).status, 422)
  t.equal((await post('frame first', { data: 1 })).status, 422, 'the event is part of it')
  t.equal((await post('frame first', { text: '1', event: 'e' })).status, 422, 'a text is not data')

  // The same bytes as text, data and binary are three messages, so one key cannot be for two of them.
  client.send({ type: 'publish', binary: 1, key: 'frame first', event: 'e', id: 'b' })
  client.send(Buffer.from('1'))
  t.match(await client.next((frame) => frame.id === 'b'), { code: 'idempotency_conflict' })

  await client.drain()
  t.not((await post('frame first', { data: 1, event: 'e' }, 'elsewhere')).headers.get('idempotent-replayed'), 'true', 'another room')
  t.not((await post('frame first', { data: 1, event: 'e' }, 'lobby', 'bob')).headers.get('idempotent-replayed'), 'true', 'another caller')
  t.match(await drained(client, 'message'), [{ from: 'bob' }])
  for (const key of ['', 'x'.repeat(256), 'a\u0000b', 'a\nb', 5, null, {}]) {
    t.equal((await client.ask({ type: 'publish', data: 1, key })).code, 'invalid_frame', JSON.stringify(key).slice(0, 20))
  }
})

test('the same key at once, by several connections and REST, is one message with one offset in every answer', async (t) => {
  const service = await startService(t)
  const clients = await Promise.all(Array.from({ length: 4 }, async () => await connect(service, { query: 'room=lobby' })))
  await Promise.all(clients.map(async (client) => await client.next('joined')))
  const answers = await Promise.all([
    ...clients.flatMap((client) => [1, 2, 3].map(async () => await client.ask({ type: 'publish', data: 'once', key: 'same' }))),
    ...[1, 2, 3].map(async () => (await call(service, 'POST', '/v1/rooms/lobby/messages', {
      body: { data: 'once' },
      headers: { 'idempotency-key': 'same' }
    })).body as Frame)
  ])
  t.strictSame([...new Set(answers.map(({ offset }) => offset))], [1])
  for (const client of clients) t.equal((await drained(client, 'message')).length, 1)
})

test('every connection of a user is in @user, every connection in @all, by these names', async (t) => {
  const service = await startService(t)
  const [tab1, tab2, bob] = [await connectAs(service, 'ada'), await connectAs(service, 'ada'), await connectAs(service, 'bob')]
  const token = makeToken({ sub: 'backend', rooms: { '@user:*': ['publish'], '@all': ['publish'] } })
  await Promise.all([tab1, tab2, bob].map(async (client) => await client.drain()))

  t.match(await call(service, 'POST', '/v1/users/ada/messages', { body: { text: 'for ada' }, token }), {
    status: 201,
    body: { room: '@user:ada', audience: 2 }
  })
  for (const client of [tab1, tab2]) t.match(await client.next('message'), { room: '@user', text: 'for ada', from: 'backend' })
  t.match(await call(service, 'POST', '/v1/broadcast', { body: { text: 'for all' }, token }), {
    status: 201,
    body: { room: '@all', audience: 3 }
  })
  for (const client of [tab1, tab2, bob]) t.match(await drained(client, 'message'), [{ room: '@all', text: 'for all' }])

  t.match(await tab1.ask({ type: 'history', room: '@user' }), {
    type: 'history',
    room: '@user',
    offset: 1,
    messages: [{ room: '@user', text: 'for ada' }]
  })
  t.match(await bob.ask({ type: 'history', room: '@user' }), { room: '@user', offset: 0, messages: [] }, 'each their own')
  t.match(await bob.join('@user'), { type: 'joined', room: '@user', audience: 1 })
  t.match(await bob.join('@all'), { type: 'joined', room: '@all', audience: 3 })
  for (const room of ['@user', '@all']) {
    t.equal((await bob.ask({ type: 'leave', room })).code, 'forbidden', `${room} cannot be left`)
    t.equal((await bob.ask({ type: 'chat', room, text: 'may I?' })).code, 'forbidden', 'not granted by default')
  }
  for (const room of ['@user:ada', '@user:bob', '@everyone', '@', '@all:x', '@ALL']) {
    t.equal((await bob.join(room)).code, 'invalid_room', room)
  }

  const eve = await connect(service, { token: makeToken({ sub: 'eve', rooms: { '@user:{sub}': ['publish'] } }) })
  t.match(await eve.ask({ type: 'chat', room: '@user', text: 'note to myself' }), { type: 'ack', room: '@user', offset: 1 })
  t.match(await eve.next('message'), { room: '@user', from: 'eve', text: 'note to myself' })
  t.strictSame([...await drained(tab1, 'message'), ...await drained(bob, 'message')], [])
  t.strictSame([...await drained(tab1, 'system'), ...await drained(bob, 'system')], [], 'automatic rooms announce nobody')
})

test('a user whose name looks like syntax has a room of their own', async (t) => {
  const service = await startService(t)
  const token = makeToken({ sub: 'backend', rooms: { '@user:*': ['publish'] } })
  for (const sub of ['__proto__', 'constructor', 'toString', 'a:b', '*', '**', '{sub}', '@all', 'ü/ß?#%', '"\\']) {
    const [client, other] = [await connectAs(service, sub, 'room=lobby'), await connectAs(service, `${sub}2`)]
    await client.next('joined')
    t.match(
      await call(service, 'POST', `/v1/users/${encodeURIComponent(sub)}/messages`, { body: { text: 'you' }, token }),
      { status: 201, body: { audience: 1 } },
      sub
    )
    t.match(await client.next('message'), { room: '@user', text: 'you' })
    t.match(await client.ask({ type: 'chat', room: 'lobby', text: 'hi' }), { type: 'ack' })
    t.match(await client.next('message'), { room: 'lobby', from: sub })
    t.strictSame(await drained(other, 'message'), [])
    await Promise.all([close(client), close(other)])
  }
})

test('rooms with the names of object properties are rooms like any other', async (t) => {
  const service = await startService(t)
  const [ada, bob] = [await connectAs(service, 'ada'), await connectAs(service, 'bob')]
  for (const room of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '~', '...', '-', 'a@b', 'x'.repeat(128)]) {
    t.match(await ada.join(room), { type: 'joined', room, offset: 0, audience: 1 })
    t.match(await bob.join(room), { audience: 2 })
    await bob.ask({ type: 'chat', room, text: room })
    t.match(await ada.next('message'), { room, text: room, offset: 1 })
    t.match(await ada.ask({ type: 'leave', room }), { type: 'left', room })
  }
})

test('echo:false leaves out the connections of the same origin, and nobody else', async (t) => {
  const service = await startService(t)
  const origin = 'origin-of-one-tab'
  const [tab, sameTab, otherTab, bob] = [
    await connectAs(service, 'ada', `room=lobby&origin=${origin}`),
    await connectAs(service, 'ada', `room=lobby&origin=${origin}`),
    await connectAs(service, 'ada', 'room=lobby'),
    await connectAs(service, 'bob', 'room=lobby')
  ]
  for (const client of [tab, sameTab, otherTab, bob]) await client.next('joined')
  const texts = async (client: Client) => (await drained(client, 'message')).map(({ data }) => data)

  // In one turn, so that frames for some members lie in one batch with frames for all.
  for (let i = 0; i < 10; i++) tab.send({ type: 'publish', data: i, echo: i % 3 === 0, id: i })
  await tab.next((frame) => frame.type === 'ack' && frame.id === 9)
  const all = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
  t.strictSame(await texts(tab), [0, 3, 6, 9])
  t.strictSame(await texts(sameTab), [0, 3, 6, 9])
  t.strictSame(await texts(otherTab), all)
  t.strictSame(await texts(bob), all)

  await otherTab.ask({ type: 'publish', data: 'without an origin', echo: false })
  t.strictSame(await texts(otherTab), [], 'its origin is the connection itself')
  t.strictSame(await texts(tab), ['without an origin'])
  await bob.drain()

  tab.send({ type: 'publish', binary: 3, echo: false, id: 'b' })
  tab.send(Buffer.from('abc'))
  await tab.next((frame) => frame.id === 'b')
  t.strictSame(await tab.drain(), [], 'neither header nor payload')
  t.equal((await bob.nextBinary()).toString(), 'abc')
  await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { data: 'REST', exclude: origin } })
  t.strictSame(await texts(tab), [])
  t.strictSame((await texts(bob)).at(-1), 'REST')
  t.match((await tab.ask({ type: 'history', room: 'lobby' })).offset, 13, 'it is in the history all the same')
})

test('the others are told who joined and left; the tabs of a user are one member', async (t) => {
  const service = await startService(t)
  const ada = await connectAs(service, 'ada', 'room=lobby')
  await ada.next('joined')
  const events = async () => (await drained(ada, 'system')).map(({ event, user, text, room }) => [event, user, text, room])
  t.strictSame(await events(), [], 'not about oneself')

  const tab1 = await connectAs(service, 'bob')
  await tab1.join('lobby')
  t.strictSame(await events(), [['joined', 'bob', 'bob joined lobby', 'lobby']])
  const tab2 = await connectAs(service, 'bob')
  await tab2.join('lobby')
  await tab1.ask({ type: 'leave', room: 'lobby' })
  t.strictSame(await events(), [], 'another tab is still there')
  await tab1.join('lobby')
  await close(tab1)
  t.strictSame(await events(), [])
  tab2.ws.terminate()
  t.match(await ada.next('system'), { event: 'left', user: 'bob', text: 'bob left lobby' }, 'also when the connection just ends')

  // The tabs of ada hear nothing about ada, and those of others nothing twice.
  const adaToo = await connectAs(service, 'ada', 'room=lobby')
  const cleo = await connectAs(service, 'cleo', 'room=lobby')
  await cleo.next('joined')
  t.match(await drained(adaToo, 'system'), [{ event: 'joined', user: 'cleo' }])
  await close(ada)
  t.strictSame(await drained(cleo, 'system'), [])
  await close(adaToo)
  t.match(await cleo.next('system'), { event: 'left', user: 'ada' })
})

test('above 100 members a room is told how many they are, at most once a second, and in the end what is true', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const watcher = await connectAs(service, 'watcher', 'room=lobby')
  await watcher.next('joined')
  const started = performance.now()
  const members = await Promise.all(Array.from({ length: 149 }, async (_, i) => await connectAs(service, `user-${i}`, 'room=lobby')))
  let counts = 0
  const countOf = async (wanted: number) => {
    for (;;) {
      const { count } = await watcher.next((frame) => frame.event === 'members')
      counts++
      if (count === wanted) return
    }
  }
  await countOf(150)
  const named = await drained(watcher, 'system')
  t.equal(named.filter(({ event }) => event === 'joined').length, 99, 'up to 100 members everybody is named')
  await Promise.all(members.map(close))
  await countOf(1)
  const seconds = (performance.now() - started) / 1_000
  t.ok(counts <= seconds + 1, `${counts} counts`)
  t.equal((await drained(watcher, 'system')).filter(({ event }) => event === 'left').length, 100)
  await until(() => service.app.roomcast.hub.connections.size === 1)
})
