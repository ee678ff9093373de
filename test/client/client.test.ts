import { once } from 'node:events'
import { type AddressInfo, createServer, connect as connectTcp } from 'node:net'
import { type Test, test } from 'tap'
import { BACKOFF, fullJitter, limitJitter } from '../../client/backoff.ts'
import { type Client, connect, type ConnectOptions, type Message, type Room, type RoomcastError, type Status } from '../../client/node.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

type Transport = 'websocket' | 'events'
const TRANSPORTS: Transport[] = ['websocket', 'events']

/** A client that is closed when the test is over, and how it stood, in order. */
function open (t: Test, url: string, options: Partial<ConnectOptions> = {}): Client & { history: Status[] } {
  const client = connect({ url, token: makeToken(), ...options }) as Client & { history: Status[] }
  client.history = []
  client.on('status', (status) => { client.history.push(status) })
  t.teardown(() => { client.close() })
  return client
}

/** What a room tells, in words: payloads, and the other events by their names. */
function listen (room: Room): unknown[] {
  const seen: unknown[] = []
  room.on('message', ({ data, text, bytes }) => { seen.push(data ?? text ?? bytes) })
  room.on('reset', ({ reason }) => { seen.push(`reset ${reason}`) })
  room.on('joined', ({ recovered }) => { if (recovered !== undefined) seen.push(`recovered ${recovered}`) })
  room.on('left', ({ reason }) => { seen.push(`left ${reason}`) })
  return seen
}

async function post (service: Service, room: string, body: object): Promise<void> {
  const { status } = await call(service, 'POST', `/v1/rooms/${room}/messages`, { body })
  if (status !== 201) throw new Error(`answered with ${status}`)
}

async function codeOf (promise: Promise<unknown>): Promise<string> {
  return await promise.then(() => 'nothing', (error: RoomcastError) => error.code)
}

/** A network that can be told to let no upgrade through, as a careless proxy. */
async function startFront (t: Test, port: number): Promise<{ url: string, allows: boolean, cut: () => void }> {
  const sockets = new Set<{ destroy: () => void }>()
  const server = createServer((client) => {
    client.once('data', (head) => {
      if (!front.allows && /^upgrade: *websocket/mi.test(head.toString('latin1'))) {
        client.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
        return
      }
      const upstream = connectTcp(port, '127.0.0.1')
      for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
        sockets.add(one)
        one.on('error', () => { other.destroy() }).on('close', () => {
          sockets.delete(one)
          other.destroy()
        })
      }
      upstream.write(head)
      client.pipe(upstream).pipe(client)
    })
    client.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    front.cut()
    server.close()
  })
  const front = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, allows: true, cut: () => { for (const socket of sockets) socket.destroy() } }
  return front
}

for (const transport of TRANSPORTS) {
  test(`over ${transport}`, async (t) => {
    const transports = [transport]
    const service = await startService(t, { MESSAGE_RATE: '0' })
    const network = await TcpProxy.start(t, service.port)
    const url = `http://127.0.0.1:${network.port}`

    await t.test('what is published comes to everybody in the room as it was, and its promise tells where it is', async (t) => {
      const ada = open(t, url, { transports })
      const bob = open(t, `${url}/ws`, { transports, token: () => makeToken({ sub: 'bob' }) })
      const seen = listen(bob.room('content'))
      const messages: Message[] = []
      bob.room('content').on('message', (message) => { messages.push(message) })
      await Promise.all([ada.room('content').join(), bob.room('content').join()])
      t.equal(bob.user, 'bob')
      const room = ada.room('content')
      const published = await Promise.all([
        room.publish({ a: [1] }),
        room.publish('text'),
        room.publish(null, { event: 'nothing' }),
        room.publish(new Uint8Array([0, 200, 255]), { event: 'raw' })
      ])
      t.strictSame(published.map(({ offset }) => offset), [1, 2, 3, 4])
      await post(service, 'content', { text: 'a text' })
      await until(() => seen.length === 5)
      const received = messages.map(({ data, text, bytes, event, from, offset }) =>
        ({ data, text, bytes: bytes && [...bytes], event, from, offset }))
      t.strictSame(received, [
        { data: { a: [1] }, text: undefined, bytes: undefined, event: undefined, from: 'ada', offset: 1 },
        { data: 'text', text: undefined, bytes: undefined, event: undefined, from: 'ada', offset: 2 },
        { data: null, text: undefined, bytes: undefined, event: 'nothing', from: 'ada', offset: 3 },
        { data: undefined, text: undefined, bytes: [0, 200, 255], event: 'raw', from: 'ada', offset: 4 },
        { data: undefined, text: 'a text', bytes: undefined, event: undefined, from: 'ada', offset: 5 }
      ])
      const { messages: kept, recovered, next } = await room.history({ after: 2, limit: 2 })
      t.match({ kept, recovered, next }, {
        kept: [{ offset: 3, data: null, epoch: String }, { offset: 4, bytes: new Uint8Array([0, 200, 255]) }],
        recovered: true,
        next: 4
      })
      const publishTwice = async (): Promise<unknown> =>
        await room.publish({ a: 1 }, { key: 'k' }).then(async () => await room.publish({ a: 2 }, { key: 'k' }))
      t.equal(await codeOf(publishTwice()), 'idempotency_conflict')
    })

    await t.test('echo: false leaves out the client itself, and nobody else', async (t) => {
      const [ada, other] = [open(t, url, { transports }), open(t, url, { transports })]
      const [own, others] = [listen(ada.room('echo')), listen(other.room('echo'))]
      await Promise.all([ada.room('echo').join(), other.room('echo').join()])
      await ada.room('echo').publish(1, { echo: false })
      await ada.room('echo').publish(2)
      await until(() => own.length > 0 && others.length === 2)
      t.strictSame([own, others], [[2], [1, 2]])
      network.cut()
      network.heal()
      await until(() => own.includes('recovered true') && others.includes('recovered true'))
      await ada.room('echo').publish(3)
      await until(() => own.at(-1) === 3 && others.at(-1) === 3)
      t.strictSame(own, [2, 'recovered true', 3], 'and what it left out is not missed')
    })

    await t.test('one room that is refused does not keep the others', async (t) => {
      const client = open(t, url, { transports, token: makeToken({ rooms: { good: ['join'], other: ['join', 'publish'] } }) })
      const rooms = ['good', 'bad', 'no such name', 'other'].map((name) => client.room(name))
      t.strictSame(
        await Promise.all(rooms.map(async (room) => await codeOf(room.join()))),
        ['nothing', 'forbidden', 'invalid_room', 'nothing']
      )
      t.strictSame(rooms.map(({ state }) => state), ['joined', 'refused', 'refused', 'joined'])
      t.strictSame([
        await codeOf(client.room('good').publish(1)),
        await codeOf(client.room('other').publish(1)),
        await codeOf(client.room('bad').publish(1)),
        await codeOf(client.room('never').publish(1))
      ], ['forbidden', 'nothing', 'forbidden', 'not_joined'])
      t.equal(await codeOf(client.room('good').history()), 'forbidden')
    })

    await t.test('forty-five rooms, a user and everybody, and each gets its own', async (t) => {
      const grants = { '**': ['*'], '@all': ['publish'], '@user:*': ['publish'] }
      const client = open(t, url, { transports, token: makeToken({ rooms: grants }) })
      const names = ['@user', '@all', ...Array.from({ length: 45 }, (_, i) => `many-${i}`)]
      const seen = new Map(names.map((name) => [name, listen(client.room(name))]))
      await Promise.all(names.map(async (name) => await client.room(name).join()))
      for (const n of [1, 2]) {
        await Promise.all(names.map(async (name) => await client.room(name).publish(`${n} in ${name}`)))
        await until(
          () => [...seen.values()].every((list) => list.includes(`${n} in ${names.find((name) => seen.get(name) === list)}`)),
          'a message in each'
        )
        if (n === 2) continue
        network.cut()
        network.heal()
        await until(() => [...seen.values()].every((list) => list.includes('recovered true')), 'all to be joined again')
      }
      for (const name of names) t.strictSame(seen.get(name), [`1 in ${name}`, 'recovered true', `2 in ${name}`])
    })

    await t.test('rooms are left and joined in any order', async (t) => {
      const client = open(t, url, { transports })
      const room = client.room('inout')
      const seen = listen(room)
      const first = codeOf(room.join())
      await room.leave()
      t.equal(await first, 'not_joined')
      await Promise.all([room.join(), room.join()])
      await post(service, 'inout', { text: 'in' })
      await until(() => seen.length === 1)
      await room.leave()
      await until(async () => (await call(service, 'GET', '/v1/rooms/inout')).body.audience === 0)
      await post(service, 'inout', { text: 'out' })
      await room.join()
      await post(service, 'inout', { text: 'in again' })
      await until(() => seen.length === 2)
      t.strictSame(seen, ['in', 'in again'], 'who has left does not come back: nothing is missed')
    })

    await t.test('a page is followed from the position that it was rendered with', async (t) => {
      for (const n of [1, 2, 3]) await post(service, 'page', { text: String(n) })
      const { body: { epoch } } = await call(service, 'GET', '/v1/rooms/page')
      const client = open(t, url, { transports })
      const seen = listen(client.room('page'))
      t.match(await client.room('page').join({ since: { epoch, offset: 1 } }), { recovered: true, missed: 2, offset: 3 })
      await until(() => seen.length === 3)
      t.strictSame(seen, ['recovered true', '2', '3'])
      const late = open(t, url, { transports })
      const told = listen(late.room('page'))
      await late.room('page').join({ since: { epoch: 'another', offset: 1 } })
      t.strictSame(told, ['recovered false', 'reset history'])
    })

    await t.test('through cuts and lost answers every message is there once, in order, whoever published it', async (t) => {
      const client = open(t, url, { transports })
      const room = client.room('cuts')
      const seen = listen(room)
      await room.join()
      const publishes: Promise<{ offset?: number }>[] = []
      const direct: Promise<void>[] = []
      for (let i = 0; i < 100; i++) {
        publishes.push(room.publish(i))
        if (i % 10 === 3) direct.push(post(service, 'cuts', { text: `direct ${i}` }))
        if (i % 25 === 10) network.cut()
        if (i % 25 === 14) network.heal()
        if (i % 25 === 18) network.swallowReplies()
        if (i % 25 === 22) network.heal()
        await new Promise((resolve) => { setTimeout(resolve, 10) })
      }
      const offsets = (await Promise.all(publishes)).map(({ offset = 0 }) => offset)
      await Promise.all(direct)
      const sorted = offsets.toSorted((a, b) => a - b)
      t.strictSame(offsets, sorted, 'in their order')
      t.equal(new Set(offsets).size, 100)
      await until(() =>
        seen.filter((one) => typeof one === 'number').length === 100 &&
        seen.filter((one) => String(one).startsWith('direct')).length === 10)
      t.strictSame(seen.filter((one) => typeof one === 'number'), Array.from({ length: 100 }, (_, i) => i))
      t.notOk(seen.some((one) => String(one).startsWith('reset') || one === 'recovered false'))
      t.ok(seen.includes('recovered true'))
      const { page: { position } } = await service.app.rooms.history('cuts')
      t.equal(position?.offset, 110, 'and there are no others')
    })

    await t.test('a loop over a room has every message, ends when it is left, and throws when some may be missing', async (t) => {
      const client = open(t, url, { transports })
      const room = client.room('loop')
      const got: unknown[] = []
      const loop = (async () => { for await (const { text } of room) got.push(text) })()
      await until(() => room.state === 'joined')
      for (const text of ['1', '2', '3']) await post(service, 'loop', { text })
      await until(() => got.length === 3)
      await room.leave()
      await loop
      t.strictSame(got, ['1', '2', '3'])

      const broken = (async () => { for await (const { text } of room) got.push(text) })()
      await until(() => room.state === 'joined')
      network.cut()
      await post(service, 'loop', { text: 'lost' })
      await call(service, 'DELETE', '/v1/rooms/loop/messages', { token: makeToken({ rooms: { '**': ['*'] } }) })
      network.heal()
      t.equal(await codeOf(broken), 'reset')
      t.equal(room.state, 'joined', 'and the next loop goes on from here')
    })

    await t.test('when the service goes down the client says why, and comes back when it was told to', async (t) => {
      const going = await startService(t, { DRAIN_WINDOW_MS: '0' })
      const client = open(t, going.url, { transports })
      await client.room('lobby').join()
      await going.app.close()
      await until(() => client.status.state === 'waiting')
      t.match(client.status, { reason: 'goingDown', code: 1001, retryAt: Number })
    })

    await t.test('a token that is refused is not used again; one provider is asked at a time', async (t) => {
      let asked = 0
      let asking = 0
      const client = open(t, url, {
        transports,
        token: async () => {
          t.equal(++asking, 1, 'nobody is asking already')
          asked++
          await new Promise((resolve) => { setTimeout(resolve, 5) })
          asking--
          if (asked === 1) throw new Error('no network')
          return makeToken(asked === 2 ? { exp: Math.floor(Date.now() / 1_000) - 60 } : {})
        }
      })
      await client.room('lobby').join()
      t.equal(asked, 3)
      t.match(client.history.filter(({ state }) => state === 'waiting').map(({ reason }) => reason), ['token', 'unauthorized'])

      const refused = makeToken({ exp: Math.floor(Date.now() / 1_000) - 60 })
      let again = 0
      const stuck = open(t, url, { transports, token: () => { again++; return refused } })
      await until(() => again >= 3)
      t.ok(stuck.history.filter(({ state }) => state === 'waiting').every(({ reason }) => reason === 'unauthorized'))
      stuck.close()

      const fixed = open(t, url, { transports, token: refused })
      const join = codeOf(fixed.room('lobby').join())
      await until(() => fixed.status.state === 'closed')
      t.match(fixed.status, { state: 'closed', reason: 'unauthorized', code: 4001 })
      t.equal(await join, 'closed')
    })

    await t.test('a connection whose token ends is renewed, and nothing is lost', async (t) => {
      let asked = 0
      const client = open(t, url, {
        transports,
        token: () => makeToken({ ...(++asked === 1 && { exp: Math.floor(Date.now() / 1_000) + 40 }) })
      })
      const seen = listen(client.room('renewed'))
      await client.room('renewed').join()
      for (const connection of service.app.roomcast.hub.connections) {
        if (connection.expiresAt < Date.now() + 60_000) connection.expiresAt = 0 // As if it were forty seconds later.
      }
      await until(() => client.status.state !== 'connected')
      await post(service, 'renewed', { text: 'meanwhile' })
      await until(() => seen.length === 2)
      t.strictSame(seen, ['recovered true', 'meanwhile'])
      t.equal(asked, 2)
    })

    await t.test('a client may be closed at any moment, and says so to everybody who waits', async (t) => {
      const before = open(t, url, { transports })
      const waiting = [codeOf(before.room('a').join()), codeOf(before.room('a').publish(1)), codeOf(before.room('a').history())]
      before.close()
      t.strictSame(await Promise.all(waiting), ['closed', 'closed', 'closed'])
      t.strictSame([
        await codeOf(before.room('a').join()),
        await codeOf(before.room('a').publish(1)),
        await codeOf(before.room('a').history())
      ], ['closed', 'closed', 'closed'])
      t.strictSame(before.status, { state: 'closed', reason: 'normal', code: 1000 })
      const later = open(t, url, { transports })
      await later.room('a').join()
      later.close()
      await until(async () => (await call(service, 'GET', '/v1/rooms/a')).body.audience === 0)
    })

    await t.test('what is published is what it was then, however late it is sent', async (t) => {
      const client = open(t, url, { transports })
      const seen = listen(client.room('copy'))
      await client.room('copy').join()
      network.cut()
      await until(() => client.status.state !== 'connected')
      const data = { n: 1 }
      const bytes = new Uint8Array([1])
      const publishes = [client.room('copy').publish(data), client.room('copy').publish(bytes)]
      data.n = bytes[0] = 2
      network.heal()
      await Promise.all(publishes)
      await until(() => seen.length === 3)
      t.strictSame(seen.map((one) => one instanceof Uint8Array ? [...one] : one), ['recovered true', { n: 1 }, [1]])
    })

    await t.test('a client that a listener closes when the connection is lost stays closed', async (t) => {
      const client = open(t, url, { transports })
      client.room('listener').on('state', (state) => { if (state === 'joining' && client.status.state === 'connected') client.close() })
      await client.room('listener').join()
      network.cut()
      await until(() => client.status.state === 'closed')
      network.heal()
      await new Promise((resolve) => { setTimeout(resolve, 600) }) // Longer than its first wait would be.
      t.strictSame(client.history.map(({ state }) => state), ['connected', 'closed'])
    })

    await t.test('what a listener throws is not the end of anything', async (t) => {
      const client = open(t, url, { transports })
      const errors: unknown[] = []
      const onError = (error: unknown): void => { errors.push(error) }
      process.on('uncaughtException', onError)
      t.teardown(() => { process.off('uncaughtException', onError) })
      const listeners = process.listeners('uncaughtException').filter((listener) => listener !== onError)
      for (const listener of listeners) process.off('uncaughtException', listener)
      client.room('throws').on('message', () => { throw new Error('mine') })
      const seen = listen(client.room('throws'))
      await client.room('throws').join()
      await client.room('throws').publish(1)
      await client.room('throws').publish(2)
      await until(() => seen.length === 2 && errors.length === 2)
      for (const listener of listeners) process.on('uncaughtException', listener)
    })
  })
}

test('a message that is too big is refused, and the others get through', async (t) => {
  const service = await startService(t, { MAX_MESSAGE_BYTES: '1000' })
  const client = open(t, service.url)
  await client.room('lobby').join()
  const codes = await Promise.all(['x', 'y'.repeat(2_000), 'z'].map(async (text) => await codeOf(client.room('lobby').publish(text))))
  t.strictSame(codes, ['nothing', 'message_too_large', 'nothing'])
})

test('more than the service takes at once gets through in the end, in order', async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '100', MESSAGE_BURST: '20' })
  const client = open(t, service.url)
  const seen = listen(client.room('lobby'))
  await client.room('lobby').join()
  await Promise.all(Array.from({ length: 60 }, async (_, i) => await client.room('lobby').publish(i)))
  await until(() => seen.filter((one) => typeof one === 'number').length === 60)
  t.strictSame(seen.filter((one) => typeof one === 'number').sort((a, b) => Number(a) - Number(b)), Array.from({ length: 60 }, (_, i) => i))
})

test('a connection that is dead without a word is noticed by its missing heartbeats', async (t) => {
  const service = await startService(t, { HEARTBEAT_SECONDS: '1' })
  await Promise.all(TRANSPORTS.map(async (transport) => {
    const network = await TcpProxy.start(t, service.port)
    const client = open(t, `http://127.0.0.1:${network.port}`, { transports: [transport] })
    const seen = listen(client.room('lobby'))
    await client.room('lobby').join()
    network.hold()
    await until(() => client.status.state === 'waiting')
    t.match(client.status, { reason: 'noHeartbeat', code: 4012 })
    network.cut()
    network.heal()
    await until(() => seen.includes('recovered true'))
  }))
})

const throughProxies = 'where upgrades do not get through it is an event stream, until they do; ' +
  'and nothing is lost, doubled or out of order on the way'
test(throughProxies, async (t) => {
  const service = await startService(t, { MESSAGE_RATE: '0' })
  const front = await startFront(t, service.port)
  front.allows = false
  const client = open(t, front.url)
  const room = client.room('lobby')
  const seen = listen(room)
  await room.join()
  t.strictSame(client.status, { state: 'connected', transport: 'events' })
  const publishes: Promise<{ offset?: number }>[] = []
  const switched: Transport[] = []
  client.on('status', ({ transport }) => { if (transport !== undefined && transport !== switched.at(-1)) switched.push(transport) })
  front.allows = true // The first look is after a second.
  let i = 0
  const flow = setInterval(() => {
    publishes.push(room.publish(i++))
    if (i % 5 === 0) void post(service, 'lobby', { text: 'direct' })
  }, 5)
  await until(() => client.status.transport === 'websocket')
  for (const allows of [false, true, false]) {
    await new Promise((resolve) => { setTimeout(resolve, 100) })
    front.allows = allows
    front.cut()
    const wanted = allows ? 'websocket' : 'events'
    await until(() => client.status.transport === wanted, wanted)
  }
  clearInterval(flow)
  const offsets = (await Promise.all(publishes)).map(({ offset = 0 }) => offset)
  t.strictSame(offsets, offsets.toSorted((a, b) => a - b))
  t.equal(new Set(offsets).size, offsets.length)
  const { page: { position } } = await service.app.rooms.history('lobby')
  await until(() => room.position?.offset === position?.offset)
  t.strictSame(seen.filter((one) => typeof one === 'number'), offsets.map((_, i) => i))
  t.notOk(seen.some((one) => String(one).startsWith('reset') || one === 'recovered false'))
  t.strictSame(switched, ['websocket', 'events', 'websocket', 'events'])
})

test('waits at a limit are at least 30 s, and their bound grows from one minute to five', (t) => {
  for (const [away, bound] of [[0, 60_000], [29_000, 60_000], [100_000, 130_000], [10 ** 7, 300_000]] as const) {
    const waits = Array.from({ length: 500 }, () => limitJitter(away))
    t.ok(waits.every((ms) => ms >= 30_000 && ms <= bound), `${away} ms away: up to ${bound} ms`)
    t.ok(Math.max(...waits) - Math.min(...waits) > (bound - 30_000) / 2, 'spread')
  }
  t.end()
})

test('waits are anything up to how long it has lasted, between half a second and half a minute', (t) => {
  for (const [away, bound] of [[0, 500], [400, 500], [3_000, 3_000], [29_000, 29_000], [10 ** 7, 30_000]] as const) {
    const waits = Array.from({ length: 500 }, () => fullJitter(away, BACKOFF))
    t.ok(waits.every((ms) => ms >= 0 && ms <= bound), `${away} ms away: up to ${bound} ms`)
    t.ok(Math.min(...waits) < bound / 4 && Math.max(...waits) > bound * 3 / 4, 'spread over all of it')
  }
  t.end()
})
