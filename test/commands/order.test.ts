import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { WebSocket } from 'ws'
import type { Published } from '../../src/broker/broker.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { type Client, connect, type Frame } from '../support/websocket-client.ts'
import { jsonWire, RawSocket } from '../support/raw-socket.ts'

/** A promise that somebody else keeps. */
function gate (): { opened: Promise<void>, open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => { open = resolve })
  return { opened, open }
}

/** Has the broker take publishes only when the gate is open; counts those that have come. */
function slowPublishes (app: FastifyInstance, opened: Promise<void>): { asked: number } {
  const seen = { asked: 0 }
  const publish = app.roomcast.broker.publish.bind(app.roomcast.broker)
  app.roomcast.broker.publish = async (publication): Promise<Published> => {
    seen.asked++
    const published = publish(publication)
    await opened
    return await published
  }
  return seen
}

/** A generator of the same numbers in every run (mulberry32), from 0 up to `below`. */
function makeRandom (seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = state + 0x6d2b79f5 | 0
    let mixed = Math.imul(state ^ state >>> 15, 1 | state)
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed
    return ((mixed ^ mixed >>> 14) >>> 0) % below
  }
}

function textsOf (items: (Frame | Buffer)[]): unknown[] {
  return items.filter((item): item is Frame => !Buffer.isBuffer(item) && item.type === 'message').map(({ text }) => text)
}

test('messages of one connection keep their order, whatever they are and whatever joins stand between them', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '0' })
  const [sender, reader] = [
    await connect(service, { query: 'room=a' }),
    await connect(service, { token: makeToken({ sub: 'bob' }), query: 'room=a' })
  ]
  await reader.next('joined')
  await reader.drain()
  // Slower for some than for others, as it may be where there is a network.
  const { broker } = service.app.roomcast
  const subscribe = broker.subscribe.bind(broker)
  broker.subscribe = async (room) => {
    await turn()
    await turn()
    return await subscribe(room)
  }
  for (let i = 0; i < 300; i += 3) {
    sender.send({ type: 'chat', room: 'a', text: `${i}` })
    if (i % 2 === 0) sender.send({ type: 'join', room: `other-${i % 40}` })
    sender.send({ type: 'publish', room: 'a', data: i + 1 })
    if (i % 5 === 0) sender.send({ type: 'leave', room: `other-${i % 40}` })
    sender.send({ type: 'publish', room: 'a', binary: 4 })
    sender.send(Buffer.from([0, 0, i + 2 >> 8, i + 2]))
    if (i % 7 === 0) sender.send({ type: 'history', room: 'a', id: i })
  }
  await sender.ask({ type: 'chat', room: 'a', text: 'end' })
  const got: number[] = []
  for (const item of await reader.drain()) {
    if (Buffer.isBuffer(item)) got.push(item.readUInt32BE())
    else if (item.text !== undefined && item.text !== 'end') got.push(Number(item.text))
    else if (item.data !== undefined) got.push(Number(item.data))
  }
  t.strictSame(got, Array.from({ length: 300 }, (_, i) => i))
})

test('a join holds every frame behind it until it is done, and they are answered in their order', async (t) => {
  const service = await startService(t)
  const { broker } = service.app.roomcast
  const { opened, open } = gate()
  const subscribe = broker.subscribe.bind(broker)
  let asked = false
  broker.subscribe = async (room) => {
    if (room !== 'slow') return await subscribe(room)
    asked = true
    await opened
    return await subscribe(room)
  }
  const [client, other] = [await RawSocket.open(service, { query: 'room=first' }), await connect(service)]
  await client.find(({ type }) => type === 'joined')
  client.write(Buffer.concat([
    { type: 'chat', text: 'to first', id: 0 },
    { type: 'join', room: 'slow', id: 1 },
    { type: 'chat', text: 'to slow', id: 2 },
    { type: 'ping', id: 3 },
    { type: 'leave', room: 'slow', id: 4 },
    { type: 'chat', text: 'to first again', id: 5 }
  ].map(jsonWire)))
  await until(() => asked)
  await client.find(({ id }) => id === 0)
  await other.drain()
  t.match(await other.join('first'), { type: 'joined', offset: 1 }, 'others are not held up')
  t.notOk(client.received.some(({ payload }) => /"id":[1-5]/.test(payload.toString())), 'nothing behind the join was answered')
  open()
  await client.find(({ id }) => id === 5)
  const frames = client.received.map(({ payload }) => JSON.parse(payload.toString()) as Frame)
  t.strictSame(
    frames.filter(({ type }) => type === 'joined' || type === 'left' || type === 'message').map(({ type, room }) => `${type} ${room}`),
    ['joined first', 'message first', 'joined slow', 'message slow', 'left slow', 'message first']
  )
  t.match(frames.filter(({ id }) => id === 2 || id === 5), [{ type: 'ack', room: 'slow' }, { type: 'ack', room: 'first' }])
  client.socket.destroy()
})

test('a join whose connection ends meanwhile leaves nothing behind', async (t) => {
  const service = await startService(t)
  const { app } = service
  const { opened, open } = gate()
  const subscribe = app.roomcast.broker.subscribe.bind(app.roomcast.broker)
  let asked = 0
  app.roomcast.broker.subscribe = async (room) => {
    asked++
    await opened
    return await subscribe(room)
  }
  const gone = await connect(service, { query: 'room=slow' })
  await until(() => asked === 1)
  gone.send({ type: 'chat', text: 'of somebody who is gone' })
  gone.ws.terminate()
  await app.roomcast.hub.emptied()
  open()
  await until(() => app.roomcast.hub.roomCount === 0, 'the rooms to be dropped')
  const reader = await connect(service, { query: 'room=slow' })
  t.match(await reader.next('joined'), { offset: 0, audience: 1 }, 'its chat was not published')
})

test('a publish that is under way holds nothing up', async (t) => {
  const service = await startService(t)
  const { opened, open } = gate()
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  slowPublishes(service.app, opened)
  client.send({ type: 'chat', text: 'slow', id: 'slow' })
  t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
  t.match(await client.join('other'), { type: 'joined' })
  open()
  t.match(await client.next(({ id }) => id === 'slow'), { type: 'ack' })
})

test('with 64 frames waiting the socket is not read, and nothing is lost or reordered when it is again', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '0', LOG_LEVEL: 'silent' })
  let server: WebSocket | undefined
  service.app.websocketServer.once('connection', (ws: WebSocket) => { server = ws })
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  for (const slow of ['publish', 'subscribe'] as const) {
    const { opened, open } = gate()
    const { broker } = service.app.roomcast
    const seen = slow === 'publish' ? slowPublishes(service.app, opened) : { asked: 0 }
    if (slow === 'subscribe') {
      const subscribe = broker.subscribe.bind(broker)
      broker.subscribe = async (room) => {
        await opened
        return await subscribe(room)
      }
      client.send({ type: 'join', room: 'slow', id: 'slow' })
    }
    // Each is as large as what one read of the socket brings: so those in the same read do not blur the bound.
    const filler = 'x'.repeat(60_000)
    const total = 300 // More than the kernel takes while nobody reads.
    for (let i = 0; i < total; i++) client.send({ type: 'publish', room: 'lobby', data: i, filler, id: `${slow}-${i}` })
    await until(() => server?.isPaused === true, 'the socket to be paused')
    await until(() => client.ws.bufferedAmount > 0 || seen.asked >= 64)
    t.ok(slow === 'subscribe' || (seen.asked >= 64 && seen.asked < 70), `${seen.asked} publishes are under way`)
    t.ok(server?.isPaused)
    open()
    for (let i = 0; i < total; i++) await client.next(({ id }) => id === `${slow}-${i}`)
    t.notOk(server?.isPaused)
    t.strictSame(
      (await client.drain()).filter((item): item is Frame => !Buffer.isBuffer(item) && item.type === 'message').map(({ data }) => data),
      Array.from({ length: total }, (_, i) => i)
    )
  }
})

test('a connection that ends while it is paused is forgotten', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '0' })
  let server: WebSocket | undefined
  service.app.websocketServer.once('connection', (ws: WebSocket) => { server = ws })
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const { opened, open } = gate()
  slowPublishes(service.app, opened)
  for (let i = 0; i < 100; i++) client.send({ type: 'chat', text: 'x' })
  await until(() => server?.isPaused === true)
  client.ws.terminate()
  open()
  await service.app.roomcast.hub.emptied()
  t.equal(service.app.roomcast.hub.roomCount, 0)
})

test('eight publishers, by both doors: every member sees the same order, offsets without gaps', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '0', LOG_LEVEL: 'silent' })
  const join = async (sub: string) => {
    const client = await connect(service, { token: makeToken({ sub }), query: 'room=lobby' })
    await client.next('joined')
    return client
  }
  const publishers = await Promise.all(Array.from({ length: 6 }, async (_, i) => await join(`p${i}`)))
  const readers = await Promise.all(Array.from({ length: 4 }, async (_, i) => await join(`r${i}`)))
  const each = 100
  await Promise.all([
    ...publishers.map(async (client, p) => {
      for (let i = 0; i < each; i++) {
        if (i % 10 === 9) await client.ask({ type: 'chat', text: `p${p} ${i}` })
        else client.send({ type: 'chat', text: `p${p} ${i}` })
      }
    }),
    ...['p6', 'p7'].map(async (sub) => {
      const token = makeToken({ sub })
      for (let i = 0; i < each; i++) await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: `${sub} ${i}` }, token })
    })
  ])
  const orders = await Promise.all(
    [...publishers, ...readers].map(async (client) =>
      (await client.drain()).filter((item): item is Frame => !Buffer.isBuffer(item) && item.type === 'message')
    )
  )
  const [first = []] = orders
  t.strictSame(first.map(({ offset }) => offset), Array.from({ length: 8 * each }, (_, i) => i + 1))
  for (const order of orders.slice(1)) t.ok(JSON.stringify(order) === JSON.stringify(first), 'the same for everybody')
  for (let p = 0; p < 8; p++) {
    t.strictSame(first.filter(({ from }) => from === `p${p}`).map(({ text }) => text), Array.from({ length: each }, (_, i) => `p${p} ${i}`))
  }
})

/** A member of the randomized test: checks each frame when it comes. */
class Member {
  readonly client: WebSocket
  readonly faults: string[] = []
  /** The offset that has to come next; undefined while not a member. */
  expected: number | undefined
  answered = 0
  messages = 0

  constructor (service: Service, sub: string) {
    this.client = new WebSocket(`${service.url.replace('http', 'ws')}/ws?token=${makeToken({ sub })}`)
    this.client.on('message', (data: Buffer, isBinary: boolean) => { if (!isBinary) this.#take(data.toString()) })
    this.client.on('error', () => {})
  }

  send (frame: object): void {
    this.client.send(JSON.stringify(frame))
  }

  #take (json: string): void {
    const frame = JSON.parse(json) as Frame & { offset: number, messages?: { offset: number }[], id?: unknown }
    if (frame.id !== undefined) this.answered++
    switch (frame.type) {
      case 'joined':
        // To join again changes nothing.
        if (this.expected === undefined) this.expected = frame.offset + 1
        else if (frame.offset + 1 !== this.expected) this.#fault(`joined again at ${frame.offset}`)
        break
      case 'left':
        this.expected = undefined
        break
      case 'message':
        this.messages++
        if (frame.offset !== this.expected) this.#fault(`message ${frame.offset}`)
        if (this.expected !== undefined) this.expected++
        break
      case 'ack':
        if (this.expected !== undefined && frame.offset >= this.expected) this.#fault(`ack of ${frame.offset}`)
        break
      case 'history': {
        const last = frame.messages?.at(-1)?.offset ?? 0
        if (this.expected !== undefined && last >= this.expected) this.#fault(`history up to ${last}`)
        break
      }
      case 'system':
        if (this.expected === undefined) this.#fault('a system frame of a room that was left')
        break
      case 'error':
        if (frame.code !== 'not_joined') this.#fault(json)
    }
  }

  #fault (what: string): void {
    this.faults.push(`${what} when ${this.expected} was to come`)
  }
}

test('nobody sees a message twice, a newer one first or a hole, while members of a big room come and go under load', async (t) => {
  // Seeded: what is done is the same in every run, when it is done is not.
  const random = makeRandom(20_240_607)
  const service = await startService(t, { MESSAGE_RATE: '0', LOG_LEVEL: 'silent', MAX_QUEUE_BYTES: '0' })
  const { app } = service
  const members: Member[] = []
  const all: Member[] = []
  const connectMember = async (at: number) => {
    const member = new Member(service, `user-${at % 150}`)
    members[at] = member
    all.push(member)
    await new Promise((resolve) => { member.client.once('open', resolve) })
    member.send({ type: 'join', room: 'big', id: 'j' })
  }
  await Promise.all(Array.from({ length: 400 }, async (_, at) => { await connectMember(at) }))
  await until(() => app.roomcast.hub.room('big')?.size === 400, 'everybody to have joined')

  const filler = 'x'.repeat(1_000)
  let published = 0
  const reconnecting: Promise<void>[] = []
  for (let round = 0; round < 60; round++) {
    // A batch that takes several turns to write: 400 members times the price of its bytes.
    const burst = 1 + random(50)
    for (let i = 0; i < burst; i++) {
      void app.rooms.publish('big', { text: filler })
      published++
    }
    for (let i = 0; i < 40; i++) {
      const at = random(members.length)
      const member = members[at] as Member
      if (member.client.readyState !== WebSocket.OPEN) continue
      const what = random(12)
      if (what < 4) member.send({ type: 'leave', room: 'big', id: 1 })
      else if (what < 8) member.send({ type: 'join', room: 'big', id: 1 })
      else if (what < 9) member.send({ type: 'history', room: 'big', limit: 3, id: 1 })
      else if (what < 11) member.send({ type: 'chat', room: 'big', text: 'mine', id: 1 })
      else {
        if (random(2) === 0) member.client.terminate()
        else member.client.close()
        reconnecting.push(connectMember(at))
      }
    }
    for (let turns = random(4); turns > 0; turns--) await turn()
  }
  await Promise.all(reconnecting)
  await until(() => app.roomcast.hub.connections.size === members.length, 'those who went to be forgotten')
  // Everybody joins, those who have already too; the answers come behind all that came before.
  const answered = members.map(({ answered }) => answered)
  for (const member of members) member.send({ type: 'join', room: 'big', id: 'last' })
  await until(() => members.every((member, i) => member.answered > (answered[i] as number)), 'the joins to be answered')
  const { body } = await call(service, 'GET', '/v1/rooms/big')
  await until(() => members.every(({ expected }) => expected === body.offset + 1), 'everybody to have everything')
  t.strictSame(all.flatMap(({ faults }) => faults).slice(0, 5), [])
  t.ok(body.offset > published, 'chats were among them')
  t.ok(all.reduce((sum, { messages }) => sum + messages, 0) > 100_000, 'enough to mean something')
  for (const { client } of all) client.terminate()
  await app.roomcast.hub.emptied()
  t.equal(app.roomcast.hub.roomCount, 0)
  await until(() => app.roomcast.hub.backlog.bytes === 0, 'the last frames to have had their turn')
})

test('the answer to history comes behind the live messages that are on its page', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '0', LOG_LEVEL: 'silent', MAX_QUEUE_BYTES: '0' })
  // A room so big, and batches so large, that a flush takes several turns.
  const clients = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => await connect(service, { token: makeToken({ sub: `user-${i}` }), query: 'room=big' }))
  )
  await Promise.all(clients.map(async (client) => await client.drain()))
  const [asker, last] = [clients[0] as Client, clients.at(-1) as Client]
  const text = 'x'.repeat(2_000)
  for (let round = 0; round < 5; round++) {
    asker.send({ type: 'history', room: 'big', limit: 1, id: 'before' })
    last.send({ type: 'history', room: 'big', limit: 1, id: 'before' })
    await turn()
    for (let i = 0; i < 60; i++) void service.app.rooms.publish('big', { text })
    await turn()
    for (const client of [asker, last]) client.send({ type: 'history', room: 'big', limit: 300, id: 'after' })
    for (const client of [asker, last]) {
      const live: number[] = []
      for (let done = false; !done;) {
        const frame = await client.next(({ type }) => type === 'message' || type === 'history')
        if (frame.type === 'message') live.push(Number(frame.offset))
        else {
          const page = frame.messages as { offset: number }[]
          const top = page.at(-1)?.offset ?? 0
          const [latest = round * 60] = live.slice(-1)
          t.ok(latest >= top, `live up to ${latest}, page up to ${top}`)
          done = frame.id === 'after'
        }
      }
      t.strictSame(textsOf(await client.drain()).length, (round + 1) * 60 - (live.at(-1) ?? round * 60), 'and the rest comes after it')
    }
  }
})
