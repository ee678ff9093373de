import { test } from 'tap'
import { call, type Service, startService } from '../../support/service.ts'
import { makeToken } from '../../support/token.ts'
import { until } from '../../support/until.ts'
import { close, connect } from '../../support/websocket-client.ts'
import { ask, isProblem, request } from '../../support/http.ts'

const ROOM = '/v1/rooms/lobby/messages'
const MANAGER = makeToken({ rooms: { '**': ['*'], '@all': ['*'] } })

/** Fills the lobby with the texts `1`, `2`, …; gives its epoch. */
async function fill (service: Service, count: number): Promise<string> {
  let epoch = ''
  for (let from = 1; from <= count; from += 100) {
    const messages = Array.from({ length: Math.min(100, count - from + 1) }, (_, i) => ({ room: 'lobby', text: String(from + i) }))
    const { body } = await call(service, 'POST', '/v1/messages', { body: { messages } })
    epoch = body.results[0].epoch
  }
  return epoch
}

test('occupied rooms are listed by name, with how many are there', async (t) => {
  const service = await startService(t)
  t.strictSame((await call(service, 'GET', '/v1/rooms')).body, { rooms: [] })
  await call(service, 'POST', '/v1/rooms/empty/messages', { body: { text: 'hi' } })
  const ada = await connect(service, { query: 'room=b&room=a:1&room=c' })
  const bea = await connect(service, { query: 'room=b&room=B', token: makeToken({ sub: 'bea' }) })
  for (let i = 0; i < 3; i++) await ada.next('joined')
  for (let i = 0; i < 2; i++) await bea.next('joined')
  t.strictSame((await call(service, 'GET', '/v1/rooms')).body, {
    rooms: [{ room: 'B', audience: 1 }, { room: 'a:1', audience: 1 }, { room: 'b', audience: 2 }, { room: 'c', audience: 1 }]
  })
  await ada.ask({ type: 'leave', room: 'c' })
  await close(bea)
  await until(() => service.app.roomcast.hub.connections.size === 1)
  t.strictSame((await call(service, 'GET', '/v1/rooms')).body, { rooms: [{ room: 'a:1', audience: 1 }, { room: 'b', audience: 1 }] })
})

test('the list is given in pages, by prefix, and only of rooms in which the caller may do something', async (t) => {
  const service = await startService(t, { MAX_ROOMS_PER_CONNECTION: '0' })
  const names = Array.from({ length: 25 }, (_, i) => `chat:${String(i).padStart(2, '0')}`)
  const client = await connect(service, { query: [...names, 'game:1', 'chat'].map((name) => `room=${name}`).join('&') })
  for (let i = 0; i < 27; i++) await client.next('joined')
  const list = async (query: string, token = makeToken()) =>
    (await call(service, 'GET', `/v1/rooms?${query}`, { token })).body as { rooms: { room: string }[], next?: string }

  const seen: string[] = []
  let cursor: string | undefined = ''
  let pages = 0
  while (cursor !== undefined) {
    const page: { rooms: { room: string }[], next?: string } = await list(`prefix=chat%3A&limit=10&cursor=${encodeURIComponent(cursor)}`)
    seen.push(...page.rooms.map(({ room }) => room))
    cursor = page.next
    pages++
  }
  t.strictSame([seen, pages], [names, 3])
  t.notOk('next' in await list('prefix=chat:&limit=25'), 'a page that is just full is the last one')
  t.strictSame((await list('prefix=game')).rooms.map(({ room }) => room), ['game:1'])
  t.strictSame((await list('prefix=nothing')).rooms, [])
  t.strictSame((await list('prefix=@')).rooms, [], 'rooms of the service itself are not listed')
  t.strictSame((await list('cursor=zzzz')).rooms, [])
  t.strictSame((await list('', makeToken({ rooms: { 'chat:*': ['join'] } }))).rooms.map(({ room }) => room), names)
  const allowed = await list('limit=2', makeToken({ rooms: { 'chat:24': ['history'], 'chat:03': ['publish'], chat: [] } }))
  t.strictSame(allowed.rooms.map(({ room }) => room), ['chat:03', 'chat:24'], 'the limit counts what may be seen')
  t.strictSame((await list('', makeToken({ rooms: {} }))).rooms, [])
})

test('a query that makes no sense is refused', async (t) => {
  const service = await startService(t)
  const epoch = await fill(service, 3)
  for (const query of [
    'limit=0', 'limit=-1', 'limit=1.5', 'limit=x', 'limit=', 'limit=1&limit=2', 'limit=NaN', 'limit=Infinity', 'limit=null',
    `prefix=${'a'.repeat(129)}`, `cursor=${'a'.repeat(129)}`, 'prefix=a&prefix=b', 'cursor=a&cursor=b'
  ]) {
    isProblem(t, await call(service, 'GET', `/v1/rooms?${query}`), 400, 'invalid_request', query.slice(0, 30))
  }
  for (const query of [
    'after=-1', 'after=x', 'after=', 'after=1.5', 'after=9007199254740993', 'after=1&after=2', 'before=-1', 'before=x', 'limit=0',
    'limit=-1', 'limit=x', 'epoch=a&epoch=b', 'after=1;2', 'after=%00'
  ]) {
    isProblem(t, await call(service, 'GET', `${ROOM}?${query}`), 400, 'invalid_request', query)
  }
  for (const query of [
    '', '?', '?&&=&', '?__proto__=1&constructor=2&toString=3', '?unknown=x', `?${'a=b&'.repeat(2_000)}`, '?limit=999999999', '?%00=%00',
    '?epoch='
  ]) {
    const { status } = await call(service, 'GET', `${ROOM}${query}`)
    t.equal(status, 200, query.slice(0, 30))
  }
  t.match((await call(service, 'GET', `${ROOM}?epoch=${epoch}&epoch%5B%5D=x`)).body, { recovered: true }, 'brackets mean nothing')
})

test('a room tells its position and its audience', async (t) => {
  const service = await startService(t)
  const { body: fresh } = await call(service, 'GET', '/v1/rooms/lobby')
  t.match(fresh, { room: 'lobby', epoch: String, offset: 0, audience: 0 })
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const { body: posted } = await call(service, 'POST', ROOM, { body: { text: 'hi' } })
  t.strictSame((await call(service, 'GET', '/v1/rooms/lobby')).body, { room: 'lobby', epoch: posted.epoch, offset: 1, audience: 1 })
  t.equal(posted.epoch, fresh.epoch, 'whoever asked first has the epoch of what came after')
})

test('history is read forwards from an offset, in pages that miss nothing and show nothing twice', async (t) => {
  const service = await startService(t)
  const epoch = await fill(service, 750)
  const seen: number[] = []
  let query = 'after=0'
  let pages = 0
  for (;;) {
    const { status, headers, body } = await call(service, 'GET', `${ROOM}?${query}&epoch=${epoch}`)
    t.match([status, headers.get('content-type')], [200, /^application\/json/])
    t.match(body, { room: 'lobby', epoch, offset: 750, recovered: true })
    seen.push(...body.messages.map(({ offset }: { offset: number }) => offset))
    pages++
    if (body.next === undefined) break
    query = `after=${body.next}`
  }
  t.strictSame([seen, pages], [Array.from({ length: 750 }, (_, i) => i + 1), 3], '300 to a page')
})

test('history is read backwards from the top', async (t) => {
  const service = await startService(t)
  await fill(service, 10)
  const offsets = async (query: string) => {
    const { body } = await call(service, 'GET', `${ROOM}?${query}`)
    return [body.messages.map(({ offset }: { offset: number }) => offset), body.next]
  }
  t.strictSame(await offsets('limit=4'), [[7, 8, 9, 10], 7])
  t.strictSame(await offsets('limit=4&before=7'), [[3, 4, 5, 6], 3])
  t.strictSame(await offsets('limit=4&before=3'), [[1, 2], undefined])
  t.strictSame(await offsets('before=1'), [[], undefined])
  t.strictSame(await offsets('before=0'), [[], undefined])
  t.strictSame(await offsets('before=9007199254740991&limit=1'), [[10], 10])
  t.strictSame(await offsets('after=3&before=6'), [[4, 5], undefined])
  t.strictSame(await offsets('after=3&before=8&limit=2'), [[4, 5], 5])
  t.strictSame(await offsets('after=6&before=3'), [[], undefined])
  t.strictSame(await offsets('after=10'), [[], undefined])
})

test('a message stands in history as it was received', async (t) => {
  const service = await startService(t)
  await call(service, 'POST', ROOM, { body: { text: 'a "text"\n', event: 'é' } })
  await call(service, 'POST', ROOM, { body: { data: { n: [1, null] } }, token: makeToken({ sub: 'b"e\\a' }) })
  const { body: last } = await call(service, 'POST', ROOM, { body: Buffer.from([0, 255]) })
  const { body } = await call(service, 'GET', ROOM)
  const [one, two] = body.messages
  t.strictSame(body, {
    room: 'lobby',
    epoch: last.epoch,
    offset: 3,
    recovered: true,
    messages: [
      { type: 'message', room: 'lobby', offset: 1, time: one.time, from: 'ada', event: 'é', text: 'a "text"\n' },
      { type: 'message', room: 'lobby', offset: 2, time: two.time, from: 'b"e\\a', data: { n: [1, null] } },
      { type: 'message', room: 'lobby', offset: 3, time: last.time, from: 'ada', base64: 'AP8=' }
    ]
  })
})

test('recovered is true only where nothing is missing', async (t) => {
  const service = await startService(t, { HISTORY_SIZE: '5' })
  const epoch = await fill(service, 10)
  const ask = async (query: string) => {
    const { status, body } = await call(service, 'GET', `${ROOM}?${query}`)
    return [status, body.recovered, body.messages.map(({ offset }: { offset: number }) => offset)]
  }
  t.strictSame(await ask(`after=10&epoch=${epoch}`), [200, true, []], 'at the top')
  t.strictSame(await ask(`after=5&epoch=${epoch}`), [200, true, [6, 7, 8, 9, 10]], 'just within')
  t.strictSame(await ask(`after=4&epoch=${epoch}`), [200, false, [6, 7, 8, 9, 10]], 'just before')
  t.strictSame(await ask(`after=11&epoch=${epoch}`), [200, false, []], 'above the top')
  t.strictSame(await ask('after=5&epoch=of-another-life'), [200, false, []], 'another epoch')
  t.match(
    (await call(service, 'GET', `${ROOM}?after=5&epoch=of-another-life`)).body,
    { epoch, offset: 10 },
    'which is told the position now'
  )
})

test('forgetting takes the messages and keeps the position', async (t) => {
  const service = await startService(t)
  const epoch = await fill(service, 3)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const { status, body, headers } = await call(service, 'DELETE', ROOM, { token: MANAGER })
  t.match([status, body, headers.get('content-type')], [204, undefined, null])
  t.strictSame((await call(service, 'GET', ROOM)).body, { room: 'lobby', epoch, offset: 3, recovered: true, messages: [] })
  t.strictSame((await call(service, 'GET', `${ROOM}?after=2`)).body, { room: 'lobby', epoch, offset: 3, recovered: false, messages: [] })
  t.match((await call(service, 'POST', ROOM, { body: { text: 'next' } })).body, { epoch, offset: 4 })
  t.match(await client.next('message'), { offset: 4, text: 'next' })
  t.equal((await call(service, 'DELETE', ROOM, { token: MANAGER })).status, 204)
  t.equal((await call(service, 'DELETE', '/v1/rooms/never-was/messages', { token: MANAGER })).status, 204)
})

test('with HISTORY_SIZE=0 nothing carries an epoch or an offset', async (t) => {
  for (const environment of [{ HISTORY_SIZE: '0' }, { HISTORY_TTL_SECONDS: '0' }] as Record<string, string>[]) {
    const service = await startService(t, environment)
    const client = await connect(service, { query: 'room=lobby', protocols: ['roomcast.v1'] })
    t.strictSame((await client.next('welcome')).rooms, [{ room: '@user' }, { room: '@all' }])
    const everything: unknown[] = [await client.next('joined')]
    const { body } = await call(service, 'POST', ROOM, { body: { text: 'hi' } })
    t.strictSame(body, { room: 'lobby', time: body.time, audience: 1 })
    t.strictSame(await client.next('message'), { type: 'message', room: 'lobby', time: body.time, from: 'ada', text: 'hi' })
    everything.push((await call(service, 'POST', '/v1/messages', { body: { messages: [{ room: 'lobby', text: 'hi' }] } })).body)
    everything.push((await call(service, 'POST', '/v1/broadcast', { body: { text: 'hi' }, token: MANAGER })).body)
    everything.push((await call(service, 'GET', '/v1/rooms/lobby')).body, (await call(service, 'GET', '/v1/rooms')).body)
    everything.push(await client.ask({ type: 'publish', data: 1 }), await client.ask({ type: 'history', room: 'lobby' }))
    everything.push(...await client.drain())
    t.strictSame((await call(service, 'GET', `${ROOM}?after=0`)).body, { room: 'lobby', recovered: false, messages: [] })
    t.equal((await call(service, 'DELETE', ROOM, { token: MANAGER })).status, 204)
    t.notMatch(JSON.stringify(everything), /"epoch"|"offset"/)
    const headers = { 'idempotency-key': 'k' }
    await call(service, 'POST', ROOM, { body: { text: 'again' }, headers })
    t.equal(
      (await call(service, 'POST', ROOM, { body: { text: 'again' }, headers })).headers.get('idempotent-replayed'),
      'true',
      'keys work all the same'
    )
  }
})

test('HEAD answers like GET, without the body', async (t) => {
  const service = await startService(t)
  await fill(service, 2)
  for (const path of ['/v1/rooms', '/v1/rooms/lobby', ROOM, '/openapi.json', '/health/live']) {
    const [get, head] = [await call(service, 'GET', path), await call(service, 'HEAD', path)]
    t.match([head.status, head.body, head.headers.get('content-length')], [200, undefined, get.headers.get('content-length')], path)
  }
  t.equal((await call(service, 'HEAD', '/v1/rooms', { token: '' })).status, 401)
})

/** What each route needs. */
const NEEDS: [string, string, object | undefined, string, string][] = [
  ['POST', ROOM, { text: 'hi' }, 'lobby', 'publish'],
  ['GET', ROOM, undefined, 'lobby', 'history'],
  ['DELETE', ROOM, undefined, 'lobby', 'manage'],
  ['POST', '/v1/broadcast', { text: 'hi' }, '@all', 'publish'],
  ['POST', '/v1/users/bea/messages', { text: 'hi' }, '@user:bea', 'publish'],
  ['POST', '/v1/users/a%3Ab/messages', { text: 'hi' }, '@user:a:b', 'publish']
]
const ACTIONS = ['join', 'publish', 'history', 'members', 'manage']

test('every route asks for exactly the grant that it needs', async (t) => {
  const service = await startService(t)
  for (const [method, path, body, room, needed] of NEEDS) {
    // `@user:a:b` is two segments, whatever is in the name; a pattern is split at every colon.
    const patterns = room === '@user:a:b' ? ['@user:*'] : [room]
    const attempt = async (rooms: unknown) =>
      await call(service, method, path, { token: makeToken({ rooms }), ...(body !== undefined && { body }) })
    for (const pattern of patterns) {
      for (const action of [...ACTIONS, '*']) {
        const answer = await attempt({ [pattern]: [action] })
        const name = `${method} ${path} with ${action} in ${pattern}`
        if (action === needed || action === '*') t.ok(answer.status < 300, name)
        else isProblem(t, answer, 403, 'forbidden', name)
      }
      isProblem(t, await attempt({ [pattern]: [] }), 403, 'forbidden', `${method} ${path} with no action`)
    }
    isProblem(t, await attempt({}), 403, 'forbidden', `${method} ${path} with no grant`)
    isProblem(
      t, await attempt({ [room.startsWith('@') ? '**' : '@all']: ['*'], other: ['*'], 'lobby:*': ['*'], 'lobby:**': ['*'] }),
      403, 'forbidden', `${method} ${path} with every grant elsewhere`
    )
  }
})

test('to look at a room, any grant in it will do', async (t) => {
  const service = await startService(t)
  for (const action of ACTIONS) {
    t.equal((await call(service, 'GET', '/v1/rooms/lobby', { token: makeToken({ rooms: { lobby: [action] } }) })).status, 200, action)
  }
  for (const rooms of [{}, { lobby: [] }, { other: ['*'] }, { '@all': ['*'] }]) {
    isProblem(t, await call(service, 'GET', '/v1/rooms/lobby', { token: makeToken({ rooms }) }), 403, 'forbidden', JSON.stringify(rooms))
  }
})

test('without a claim the default grants hold', async (t) => {
  const standard = await startService(t)
  const expected = [201, 200, 403, 403, 403, 403]
  const statuses = async (service: Service) =>
    await Promise.all(
      NEEDS.map(async ([method, path, body]) => (await call(service, method, path, { ...(body !== undefined && { body }) })).status)
    )
  t.strictSame(await statuses(standard), expected)
  t.strictSame(await statuses(await startService(t, { DEFAULT_GRANTS: '{}' })), [403, 403, 403, 403, 403, 403])
  t.strictSame(
    await statuses(await startService(t, { DEFAULT_GRANTS: '{"lobby":["manage"],"@all":["*"],"@user:{sub}":["*"]}' })),
    [403, 403, 204, 201, 403, 403]
  )
})

test('every route of the API wants a token', async (t) => {
  const service = await startService(t)
  for (const [method, path] of [...NEEDS, ['GET', '/v1/rooms'], ['GET', '/v1/rooms/lobby'], ['POST', '/v1/messages']]) {
    isProblem(
      t, await ask(t, service, request(method as string, path as string, ['Content-Length: 0'])),
      401, 'unauthorized', `${method} ${path}`
    )
  }
  for (const path of ['/health/live', '/health/ready', '/openapi.json', '/docs/']) {
    t.equal((await call(service, 'GET', path, { token: '' })).status, 200, path)
  }
})
