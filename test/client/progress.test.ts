import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test, type Test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { type Client, connect, type ConnectOptions } from '../../client/node.ts'
import { Progress } from '../../client/progress.ts'
import { call, startService } from '../support/service.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'

type Frame = Record<string, unknown> & { type: string }

function open (t: Test, url: string, options: Partial<ConnectOptions> = {}): Client {
  const client = connect({ url, token: makeToken(), ...options })
  t.teardown(() => { client.close() })
  return client
}

/** A service that a test plays: it welcomes each connection, and the test sends every other frame. */
async function startScript (t: Test) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'roomcast.v1' })
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of server.clients) socket.terminate()
    server.close()
  })
  const frames: Frame[] = []
  let socket: WebSocket | undefined
  server.on('connection', (opened) => {
    socket = opened
    opened.on('error', () => {})
    opened.on('message', (data: Buffer) => { frames.push(JSON.parse(data.toString()) as Frame) })
    say({ type: 'welcome', connection: 'c', origin: 'o', user: 'ada', expiresAt: Date.now() + 3_600_000, heartbeatMs: 25_000, rooms: [] })
  })
  const say = (frame: Frame): void => { socket?.send(JSON.stringify(frame)) }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    say,
    message: (offset: number) => { say({ type: 'message', room: 'lobby', offset, from: 'ada', time: 1, data: offset }) },
    ack: ({ id }: Frame, offset: number, epoch = 'e') => { say({ type: 'ack', id, room: 'lobby', epoch, offset }) },
    cut: () => { socket?.terminate() },
    /** Takes the next frame of a type from the client. */
    take: async (type: string): Promise<Frame> => {
      await until(() => frames.some((frame) => frame.type === type), `a ${type}`)
      return frames.splice(frames.findIndex((frame) => frame.type === type), 1)[0] as Frame
    }
  }
}

/** A client in the room lobby of a scripted service, at the offset 10; `seen` has its messages. */
async function joinScript (t: Test) {
  const script = await startScript(t)
  const room = open(t, script.url, { transports: ['websocket'] }).room('lobby')
  const seen: unknown[] = []
  room.on('message', ({ data }) => { seen.push(data) })
  room.on('reset', () => { seen.push('reset') })
  const joining = room.join()
  script.say({ type: 'joined', id: (await script.take('join')).id, room: 'lobby', epoch: 'e', offset: 10, audience: 1 })
  await joining
  const publish = async (options: object) => {
    const published = room.publish(1, options)
    published.catch(() => {})
    return { frame: await script.take('publish'), published }
  }
  /** Cuts the connection; returns the position that the client resumes from. */
  const cut = async () => {
    script.cut()
    const { since, id } = await script.take('join')
    return { since, id }
  }
  return { script, room, seen, publish, cut }
}

test('an ack that is early never moves the position past a message that has not arrived', async (t) => {
  const { script, seen, publish, cut } = await joinScript(t)
  const { frame, published } = await publish({ echo: false })
  script.ack(frame, 12)
  t.match(await published, { epoch: 'e', offset: 12 })
  const { since, id } = await cut()
  t.strictSame(since, { epoch: 'e', offset: 10 })
  script.say({ type: 'joined', id, room: 'lobby', epoch: 'e', offset: 12, audience: 1, recovered: true, missed: 1 })
  script.message(11)
  await until(() => seen.length === 1)
  t.strictSame(seen, [11])
  t.strictSame((await cut()).since, { epoch: 'e', offset: 12 })
})

test('an early ack of a message that comes back does not take the message for a duplicate', async (t) => {
  const { script, seen, publish, cut } = await joinScript(t)
  const { frame, published } = await publish({})
  script.ack(frame, 11)
  await published
  script.message(11)
  await until(() => seen.length === 1)
  t.strictSame(seen, [11])
  const second = await publish({})
  script.ack(second.frame, 12)
  await second.published
  t.strictSame((await cut()).since, { epoch: 'e', offset: 11 })
})

test('acks of another epoch, and of older messages, do not move the position', async (t) => {
  const { script, room, publish, cut } = await joinScript(t)
  for (const [offset, epoch] of [[11, 'another'], [10, 'e'], [3, 'e']] as const) {
    const { frame, published } = await publish({ echo: false })
    script.ack(frame, offset, epoch)
    await published
    t.strictSame(room.position, { epoch: 'e', offset: 10 })
  }
  script.say({ type: 'reset', room: 'lobby', epoch: 'f', offset: 0, reason: 'epoch' })
  const { frame, published } = await publish({ echo: false })
  script.ack(frame, 1, 'f')
  await published
  t.strictSame((await cut()).since, { epoch: 'f', offset: 1 })
})

test('a recovered join moves the position when all missed messages have arrived, and not before', async (t) => {
  const { script, room, seen, cut } = await joinScript(t)
  const first = await cut()
  t.strictSame(first.since, { epoch: 'e', offset: 10 })
  script.say({ type: 'joined', id: first.id, room: 'lobby', epoch: 'e', offset: 20, audience: 1, recovered: true, missed: 2 })
  script.message(12)
  await until(() => seen.length === 1)
  t.strictSame(room.position, { epoch: 'e', offset: 12 })
  const second = await cut()
  t.strictSame(second.since, { epoch: 'e', offset: 12 }, 'the second message was lost with the connection')
  script.say({ type: 'joined', id: second.id, room: 'lobby', epoch: 'e', offset: 20, audience: 1, recovered: true, missed: 1 })
  script.message(15)
  await until(() => seen.length === 2)
  t.strictSame(room.position, { epoch: 'e', offset: 20 })
  const third = await cut()
  script.say({ type: 'joined', id: third.id, room: 'lobby', epoch: 'e', offset: 30, audience: 1, recovered: true, missed: 0 })
  await until(() => room.state === 'joined')
  t.strictSame((await cut()).since, { epoch: 'e', offset: 30 })
  t.strictSame(seen, [12, 15])
})

test('progress passes own messages once everything before them has arrived', (t) => {
  const progress = new Progress()
  const pass = (...offsets: number[]) => { for (const offset of offsets) progress.pass({ epoch: 'e', offset }) }
  progress.pass({ epoch: 'e', offset: 1 })
  t.equal(progress.position, undefined, 'not in a room without history')
  t.ok(progress.take(undefined))
  progress.restart({ epoch: 'e', offset: 10 })
  pass(11, 12)
  t.match(progress.position, { offset: 12 })
  pass(14, 15)
  t.match(progress.position, { offset: 12 })
  t.ok(progress.take(13))
  t.match(progress.position, { offset: 15 })
  t.notOk(progress.take(14), 'a duplicate')
  pass(17, 19, 20)
  t.ok(progress.take(16))
  t.match(progress.position, { offset: 16 }, '18 may still arrive')
  t.ok(progress.take(18))
  pass(21)
  t.match(progress.position, { offset: 21 })
  pass(23)
  progress.restart({ epoch: 'f', offset: 22 })
  t.strictSame(progress.position, { epoch: 'f', offset: 22 }, 'a run ends with its epoch')
  progress.resume({ epoch: 'f', offset: 30 }, 2)
  t.ok(progress.take(24))
  t.notOk(progress.take(24))
  t.match(progress.position, { offset: 30 }, 'a duplicate among the missed messages counts')
  t.end()
})

for (const transport of ['websocket', 'events'] as const) {
  test(`a client that publishes without echo over ${transport} loses nothing when history has forgotten its messages`, async (t) => {
    const service = await startService(t, { MESSAGE_RATE: '0', HISTORY_SIZE: '30' })
    const network = await TcpProxy.start(t, service.port)
    const client = open(t, `http://127.0.0.1:${network.port}`, { transports: [transport] })
    const room = client.room('cursors')
    const seen: unknown[] = []
    room.on('message', ({ data }) => { seen.push(data) })
    room.on('reset', () => { seen.push('reset') })
    room.on('joined', ({ recovered, missed }) => { if (recovered !== undefined) seen.push({ recovered, missed }) })
    await room.join()
    const flood = async () => await Promise.all(Array.from({ length: 60 }, async (_, i) => await room.publish(i, { echo: false })))
    const other = async (data: unknown) => await call(service, 'POST', '/v1/rooms/cursors/messages', { body: { data } })
    const cut = async () => {
      const states: string[] = []
      const stop = room.on('state', (state) => { states.push(state) })
      network.cut()
      network.heal()
      await until(() => states.at(-1) === 'joined')
      stop()
    }
    await Promise.all([flood(), other('a')])
    await flood()
    await until(() => seen.includes('a') && room.position?.offset === 121, 'the position after the last publish')
    await cut()
    t.strictSame(seen, ['a', { recovered: true, missed: 0 }])

    const [published] = await Promise.all([room.publish('x', { echo: false }), other('b')])
    t.match(published, { epoch: room.position?.epoch })
    await until(() => seen.includes('b') && room.position?.offset === 123)
    await cut()
    await flood()
    await until(() => room.position?.offset === 183)
    await cut()
    t.strictSame(seen.slice(2), ['b', { recovered: true, missed: 0 }, { recovered: true, missed: 0 }])
  })
}
