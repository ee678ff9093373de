import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'
import type { Broker } from '../../src/broker/broker.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { type Client, connect, type Frame, refusal } from '../support/websocket-client.ts'

const SETTINGS = { MESSAGE_RATE: '0', LOG_LEVEL: 'silent' }

/** Posts texts to a room, one after the other; returns the position of the last. */
async function post (service: Service, texts: string[], room = 'lobby'): Promise<{ epoch: string, offset: number }> {
  let position
  for (const text of texts) {
    const { body } = await call(service, 'POST', `/v1/rooms/${room}/messages`, { body: { text } })
    position = { epoch: body.epoch as string, offset: body.offset as number }
  }
  if (position === undefined) throw new Error('there is nothing to post')
  return position
}

function words (count: number, first = 1): string[] {
  return Array.from({ length: count }, (_, i) => `${first + i}`)
}

/** Comes back to a room; returns the answer, and the texts of the room that followed it up to now. */
async function comeBack (client: Client, since: unknown, room = 'lobby'): Promise<{ joined: Frame, texts: unknown[] }> {
  const joined = await client.ask({ type: 'join', room, since })
  return { joined, texts: textsOf(await client.drain()) }
}

function textsOf (frames: (Frame | Buffer)[]): unknown[] {
  return frames.filter((frame): frame is Frame => !Buffer.isBuffer(frame) && frame.type === 'message').map(({ text }) => text)
}

/** Lets a test act while history is read: before the broker is asked, and before its answer is used. */
function duringReads (
  service: Service,
  { before, after }: { before?: () => Promise<unknown>, after?: () => Promise<unknown> }
): { reads: number } {
  const { broker } = service.app.roomcast
  const read = broker.history.bind(broker)
  const count = { reads: 0 }
  broker.history = async (...query: Parameters<Broker['history']>) => {
    count.reads++
    await before?.()
    const page = await read(...query)
    await after?.()
    return page
  }
  return count
}

test('who comes back gets what was missed, in order, and then what is live', async (t) => {
  const service = await startService(t, SETTINGS)
  const { epoch } = await post(service, words(10))
  const client = await connect(service)
  const { joined, texts } = await comeBack(client, { epoch, offset: 4 })
  t.match(joined, { type: 'joined', room: 'lobby', epoch, offset: 10, audience: 1, recovered: true, missed: 6 })
  t.strictSame(texts, words(6, 5))
  await post(service, words(2, 11))
  t.strictSame([(await client.next('message')).offset, (await client.next('message')).offset], [11, 12])
})

test('a position at the top is recovered with nothing missed; what history cannot bridge is told before anything is sent', async (t) => {
  const service = await startService(t, { ...SETTINGS, HISTORY_SIZE: '400' })
  const { epoch } = await post(service, words(5))
  await call(service, 'POST', '/v1/messages', {
    body: { messages: Array.from({ length: 95 }, (_, i) => ({ room: 'lobby', text: `${i + 6}` })) }
  })
  const cases: [string, unknown, boolean, number?][] = [
    ['exactly at the top', { epoch, offset: 100 }, true, 0],
    ['the beginning, which is kept', { epoch, offset: 0 }, true, 100],
    ['an epoch that never was', { epoch: 'another', offset: 3 }, false],
    ['above the top', { epoch, offset: 101 }, false],
    ['far above the top', { epoch, offset: Number.MAX_SAFE_INTEGER }, false]
  ]
  for (const [title, since, recovered, missed] of cases) {
    const { joined, texts } = await comeBack(await connect(service), since)
    t.match(joined, { type: 'joined', epoch, offset: 100, recovered }, title)
    t.equal(joined.missed, missed, title)
    t.equal(texts.length, missed ?? 0, title)
  }
  for (let i = 0; i < 4; i++) {
    await call(service, 'POST', '/v1/messages', {
      body: { messages: Array.from({ length: 100 }, () => ({ room: 'lobby', text: 'more' })) }
    })
  }
  for (const [title, offset, recovered] of [
    ['a page behind', 200, true],
    ['more than a page behind', 199, false],
    ['before what is kept', 99, false]
  ] as const) {
    const { joined, texts } = await comeBack(await connect(service), { epoch, offset })
    t.equal(joined.recovered, recovered, title)
    t.equal(texts.length, recovered ? 300 : 0, title)
    t.match(joined, { epoch, offset: 500 })
  }
})

test('a since that is none is an error, and the connection is not a member', async (t) => {
  const service = await startService(t, SETTINGS)
  const { epoch } = await post(service, words(3))
  const client = await connect(service)
  for (const since of [
    { epoch, offset: -1 }, { epoch, offset: '1' }, { epoch, offset: 1.5 }, { epoch }, { offset: 1 }, { epoch: 1, offset: 1 },
    { epoch: '', offset: 1 }, { epoch: 'e'.repeat(33), offset: 1 }, 'e:1', 7, null, []
  ]) {
    t.match(await client.ask({ type: 'join', room: 'lobby', since }), { type: 'error', code: 'invalid_frame' }, JSON.stringify(since))
  }
  t.match(await client.ask({ type: 'chat', room: 'lobby', text: 'x' }), { code: 'not_joined' })
})

test('in the URL, since goes with exactly one room', async (t) => {
  const service = await startService(t, SETTINGS)
  const { epoch } = await post(service, words(3))
  const client = await connect(service, { query: `room=lobby&since=${epoch}:1` })
  t.match(await client.next('joined'), { room: 'lobby', offset: 3, recovered: true, missed: 2 })
  t.strictSame(textsOf(await client.drain()), ['2', '3'])
  const stranger = await connect(service, { query: 'room=lobby&since=another:1' })
  t.match(await stranger.next('joined'), { recovered: false, epoch, offset: 3 })
  for (const query of [
    `since=${epoch}:1`,
    `room=lobby&room=other&since=${epoch}:1`,
    'room=lobby&since=',
    'room=lobby&since=5',
    `room=lobby&since=${epoch}:-1`,
    `room=lobby&since=${epoch}:x`,
    'room=lobby&since=:1',
    `room=lobby&since=${'e'.repeat(33)}:1`,
    `room=lobby&since=${epoch}:99999999999999999999`,
    `room=lobby&since=${epoch}:1&since=${epoch}:2`
  ]) {
    t.match(await refusal(service, { query }), { status: 400, body: { code: 'invalid_request' } }, query)
  }
})

test('the automatic rooms are resumed by their alias', async (t) => {
  const service = await startService(t, SETTINGS)
  const first = await connect(service, { protocols: ['roomcast.v1'] })
  const { rooms } = await first.next('welcome') as unknown as { rooms: { room: string, epoch: string, offset: number }[] }
  first.ws.close()
  const token = makeToken({ rooms: { '@all': ['publish'], '@user:*': ['publish'] } })
  for (const text of ['a', 'b']) {
    await call(service, 'POST', '/v1/users/ada/messages', { token, body: { text } })
    await call(service, 'POST', '/v1/broadcast', { token, body: { text: `all ${text}` } })
  }
  const again = await connect(service)
  for (const { room, epoch, offset } of rooms) {
    const { joined, texts } = await comeBack(again, { epoch, offset }, room)
    t.match(joined, { room, epoch, offset: 2, recovered: true, missed: 2 })
    t.strictSame(texts, room === '@all' ? ['all a', 'all b'] : ['a', 'b'])
  }
  t.equal(rooms.length, 2)
})

test('a member that joins with since gets it again from there', async (t) => {
  const service = await startService(t, SETTINGS)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const { epoch } = await post(service, words(3))
  t.strictSame(textsOf(await client.drain()), words(3))
  t.strictSame(await comeBack(client, { epoch, offset: 1 }).then(({ texts }) => texts), ['2', '3'])
  await post(service, ['4'])
  t.strictSame(textsOf(await client.drain()), ['4'], 'and what is live, once')
})

test('what was not for the connection is not among what it missed', async (t) => {
  const service = await startService(t, SETTINGS)
  const origin = 'the-tab-of-the-sender'
  const client = await connect(service, { query: `room=lobby&origin=${origin}` })
  const { epoch, offset } = await client.next('joined')
  client.ws.close()
  await post(service, ['1'])
  await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: '2', exclude: origin } })
  await post(service, ['3'])
  const same = await connect(service, { query: `room=lobby&origin=${origin}&since=${epoch}:${offset}` })
  t.match(await same.next('joined'), { offset: 3, recovered: true, missed: 2 })
  t.strictSame(textsOf(await same.drain()), ['1', '3'])
  const other = await connect(service, { query: `room=lobby&since=${epoch}:${offset}` })
  t.match(await other.next('joined'), { recovered: true, missed: 3 })
  t.strictSame(textsOf(await other.drain()), ['1', '2', '3'])
})

/** Publishes messages of one text each, which exclude an origin or none. */
async function publishAll (service: Service, texts: string[], exclude?: string): Promise<void> {
  const { broker } = service.app.roomcast
  for (const text of texts) await broker.publish({ room: 'lobby', fields: Buffer.from(`"from":"ada","text":"${text}"`), exclude })
}

test('only messages for the connection count as missed, however many exclude it', async (t) => {
  const service = await startService(t, { ...SETTINGS, HISTORY_SIZE: '20000', MAX_QUEUE_BYTES: '60000' })
  const origin = 'the-tab-of-the-sender'
  const client = await connect(service, { query: `room=lobby&origin=${origin}` })
  const { epoch, offset } = await client.next('joined')
  for (let i = 0; i < 350; i++) client.send({ type: 'publish', room: 'lobby', data: 'x'.repeat(200), echo: false, id: i })
  await client.next(({ type, id }) => type === 'ack' && id === 349)
  client.ws.close()
  const resume = async () => {
    const same = await connect(service, { query: `origin=${origin}` })
    const result = await comeBack(same, { epoch, offset })
    same.ws.close()
    return result
  }
  t.match(await resume(), { joined: { recovered: true, missed: 0, offset: 350 }, texts: [] })
  await publishAll(service, words(2))
  await publishAll(service, words(900), origin)
  await publishAll(service, words(1, 3))
  await publishAll(service, words(400), origin)
  const { joined, texts } = await resume()
  t.match(joined, { recovered: true, missed: 3, offset: 1_653 })
  t.strictSame(texts, words(3))
  const other = await comeBack(await connect(service), { epoch, offset })
  t.match(other, { joined: { recovered: false }, texts: [] }, 'a client that would have got them has missed them')

  await publishAll(service, Array.from({ length: 10 }, () => 'y'.repeat(2_700)))
  t.match(await resume(), { joined: { recovered: true, missed: 13 } }, 'almost a page for it')
  await publishAll(service, ['y'.repeat(2_700)])
  t.match(await resume(), { joined: { recovered: false }, texts: [] }, 'more than half of MAX_QUEUE_BYTES for it')
})

test('a page of messages for the connection is recovered between messages that exclude it, and one more is not', async (t) => {
  const service = await startService(t, { ...SETTINGS, HISTORY_SIZE: '20000' })
  const origin = 'the-tab-of-the-sender'
  const { epoch } = await post(service, ['first'])
  for (let i = 0; i < 300; i++) {
    await publishAll(service, ['mine'], origin)
    await publishAll(service, [`${i + 1}`])
  }
  await publishAll(service, words(310), origin)
  const client = await connect(service, { query: `origin=${origin}` })
  const { joined, texts } = await comeBack(client, { epoch, offset: 1 })
  t.match(joined, { recovered: true, missed: 300, offset: 911 })
  t.strictSame(texts, words(300))
  await publishAll(service, ['301'])
  t.match((await comeBack(client, { epoch, offset: 1 })).joined, { recovered: false })
})

test('a resume reads a bounded number of pages', async (t) => {
  const service = await startService(t, { ...SETTINGS, HISTORY_SIZE: '20000' })
  const origin = 'the-tab-of-the-sender'
  const { epoch, offset } = await post(service, ['first'])
  const count = duringReads(service, {})
  const client = await connect(service, { query: `origin=${origin}` })
  await publishAll(service, words(12_000), origin)
  t.match((await comeBack(client, { epoch, offset })).joined, { recovered: true, missed: 0 })
  t.equal(count.reads, 40)
  await publishAll(service, ['mine'], origin)
  t.match((await comeBack(client, { epoch, offset })).joined, { recovered: false })
  t.equal(count.reads, 80)
})

test('a flood that excludes the connection while history is read is no loss, and ends no later than the pages', async (t) => {
  const service = await startService(t, { ...SETTINGS, HISTORY_SIZE: '40000' })
  const origin = 'the-tab-of-the-sender'
  const { epoch } = await post(service, words(3))
  let floods = 2
  duringReads(service, { after: async () => { if (floods-- > 0) await publishAll(service, [...words(400), ...words(400)], origin) } })
  const client = await connect(service, { query: `origin=${origin}` })
  const first = await comeBack(client, { epoch, offset: 1 })
  t.match(first.joined, { recovered: true, missed: 2, offset: 1_603 })
  t.strictSame(first.texts, ['2', '3'])
  floods = Infinity
  t.match((await comeBack(client, { epoch, offset: 1_600 })).joined, { recovered: false })
})

test('binary messages come back as they were', async (t) => {
  const service = await startService(t, SETTINGS)
  const { epoch, offset } = await post(service, ['1'])
  await call(service, 'POST', '/v1/rooms/lobby/messages', { body: Buffer.from([0, 1, 255]) })
  const client = await connect(service)
  t.match(await client.ask({ type: 'join', room: 'lobby', since: { epoch, offset } }), { recovered: true, missed: 1 })
  t.match(await client.next('message'), { binary: 3, offset: 2 })
  t.strictSame(await client.nextBinary(), Buffer.from([0, 1, 255]))
})

test('a room without history recovers nothing', async (t) => {
  const service = await startService(t, { ...SETTINGS, HISTORY_SIZE: '0' })
  const { joined } = await comeBack(await connect(service), { epoch: '1', offset: 1 })
  t.strictSame(Object.keys(joined).sort(), ['audience', 'id', 'recovered', 'room', 'type'])
  t.equal(joined.recovered, false)
})

test('what is forgotten is not recovered', async (t) => {
  const service = await startService(t, SETTINGS)
  const { epoch } = await post(service, words(3))
  await call(service, 'DELETE', '/v1/rooms/lobby/messages', { token: makeToken({ rooms: { '**': ['*'] } }) })
  t.match((await comeBack(await connect(service), { epoch, offset: 1 })).joined, { recovered: false, offset: 3 })
  t.match((await comeBack(await connect(service), { epoch, offset: 3 })).joined, { recovered: true, missed: 0 })
})

for (const [when, hooks] of Object.entries({
  'before history is read': (publish: () => Promise<unknown>) => ({ before: publish }),
  'after it was read': (publish: () => Promise<unknown>) => ({ after: publish }),
  'before and after': (publish: () => Promise<unknown>) => ({ before: publish, after: publish })
})) {
  test(`what is published ${when} comes once and in order, to who comes back and to who was there`, async (t) => {
    const service = await startService(t, SETTINGS)
    const { epoch } = await post(service, words(5))
    const member = await connect(service, { query: 'room=lobby' })
    await member.next('joined')
    let next = 6
    duringReads(service, hooks(async () => { await post(service, [`${next++}`, `${next++}`]) }))
    const { joined, texts } = await comeBack(await connect(service), { epoch, offset: 2 })
    t.strictSame(texts, words(next - 3, 3))
    t.match(joined, { recovered: true, missed: next - 3, offset: next - 1 })
    t.strictSame(textsOf(await member.drain()), words(next - 6, 6))
  })
}

test('who was away while a flood came in during the read is told so', async (t) => {
  const service = await startService(t, SETTINGS)
  const { epoch } = await post(service, words(5))
  const flood = Array.from({ length: 100 }, (_, i) => ({ room: 'lobby', text: `flood ${i}` }))
  duringReads(service, {
    after: async () => { for (let i = 0; i < 4; i++) await call(service, 'POST', '/v1/messages', { body: { messages: flood } }) }
  })
  const { joined, texts } = await comeBack(await connect(service), { epoch, offset: 2 })
  t.match(joined, { recovered: false, offset: 405 })
  t.strictSame(texts, [])
})

test('a thousand who come back at once cost a few reads, and all get everything', async (t) => {
  const service = await startService(t, SETTINGS)
  const { epoch } = await post(service, words(20))
  const count = duringReads(service, { before: async () => await sleep(20) })
  const publishing = post(service, words(20, 21))
  const clients = await Promise.all(
    Array.from(
      { length: 1_000 },
      async (_, i) => await connect(service, { token: makeToken({ sub: `user-${i}` }), query: `room=lobby&since=${epoch}:5` })
    )
  )
  await publishing
  await post(service, ['41'])
  for (const client of clients) {
    const frames: Frame[] = []
    await client.next((frame) => { frames.push(frame); return frame.text === '41' })
    const joined = await client.next('joined')
    const texts = [...textsOf(await client.drain())]
    t.equal(joined.recovered, true)
    t.strictSame([...texts, '41'], words(36, 6))
  }
  t.ok(count.reads < 250, `${count.reads} reads`)
})

test('who comes back to many rooms gets page after page, and is no slow consumer', async (t) => {
  const service = await startService(t, { ...SETTINGS, MAX_QUEUE_BYTES: '400000', MAX_MESSAGE_BYTES: '65536' })
  const rooms = words(40).map((word) => `room-${word}`)
  const text = 'x'.repeat(30_000)
  const since = new Map<string, { epoch: string, offset: number }>()
  for (const room of rooms) {
    since.set(room, await post(service, ['first'], room))
    await call(service, 'POST', '/v1/messages', { body: { messages: Array.from({ length: 6 }, () => ({ room, text })) } })
  }
  const client = await connect(service)
  const total = rooms.length * 6
  let received = 0
  client.ws.on('message', (data: Buffer) => { if (data.length > 30_000) received++ })
  client.ws.pause()
  for (const room of rooms) client.send({ type: 'join', room, since: since.get(room) })
  await new Promise((resolve) => setTimeout(resolve, 500))
  client.ws.resume()
  await until(() => received === total, 'all messages')
  t.equal(client.ws.readyState, 1)
})
