import { setImmediate as turn } from 'node:timers/promises'
import { mock } from 'node:test'
import { test } from 'tap'
import type { Connection } from '../../src/hub/connection.ts'
import { drain } from '../../src/hub/drain.ts'
import { Hub } from '../../src/hub/hub.ts'
import { deliver, connectTo, join, message, RecordingTransport } from './recorder.ts'

test('the hub knows its connections and how many each user has', async (t) => {
  const hub = new Hub()
  hub.tick = 7
  const [one, two, bob] = [{ user: 'ada' }, { user: 'ada' }, { user: 'bob' }].map((options) => connectTo(new RecordingTransport(), options)
  ) as [Connection, Connection, Connection]
  for (const connection of [one, two, bob]) hub.add(connection)
  t.equal(hub.connections.size, 3)
  t.equal(one.heard, 7, 'who has just come has just been heard')
  t.strictSame(['ada', 'bob', '__proto__'].map((user) => hub.connectionsOf(user)), [2, 1, 0])
  hub.remove(one)
  hub.remove(one) // A second time changes nothing.
  t.strictSame(['ada', 'bob'].map((user) => hub.connectionsOf(user)), [1, 1])
  hub.remove(two)
  t.strictSame([hub.connectionsOf('ada'), hub.connections.size], [0, 1])
})

test('the hub finds the oldest connection of a client, and a released one is not found and does not count', async (t) => {
  const hub = new Hub()
  const options = [
    { user: 'ada' }, { user: 'ada', origin: 'tab' }, { user: 'ada', origin: 'tab' }, { user: 'bob', origin: 'tab' }
  ]
  const [unnamed, one, two, bob] = options.map((options) => connectTo(new RecordingTransport(), options)) as
    [Connection, Connection, Connection, Connection]
  for (const connection of [unnamed, one, two, bob]) hub.add(connection)
  t.equal(hub.oldestOf('ada', 'tab'), one)
  t.equal(hub.oldestOf('ada', unnamed.id), undefined, 'an id is no origin of a client')
  hub.release(one)
  t.strictSame([hub.oldestOf('ada', 'tab'), hub.connectionsOf('ada'), hub.connections.size], [two, 2, 4])
  hub.remove(one)
  hub.remove(two)
  t.strictSame([hub.oldestOf('ada', 'tab'), hub.connectionsOf('ada'), hub.connections.size], [undefined, 1, 2])
  t.equal(hub.oldestOf('bob', 'tab'), bob)
})

test('emptied resolves for everybody who waits when the last connection is gone, and at once when there is none', async (t) => {
  const hub = new Hub()
  await hub.emptied()
  const connections = [connectTo(new RecordingTransport()), connectTo(new RecordingTransport())]
  for (const connection of connections) hub.add(connection)
  let resolved = 0
  const waiting = [hub.emptied(), hub.emptied()].map(async (promise) => { await promise; resolved++ })
  hub.remove(connections[0] as Connection)
  await turn()
  t.equal(resolved, 0)
  hub.remove(connections[1] as Connection)
  await Promise.all(waiting)
  t.equal(resolved, 2)
})

test('a room is dropped, once, when it has neither members nor holds', async (t) => {
  const hub = new Hub()
  const dropped: string[] = []
  hub.whenDropped(({ name }) => { dropped.push(name) })
  const room = hub.open('room')
  const [release, releaseToo] = [room.hold(), room.hold()]
  t.equal(hub.room('room'), room)
  t.equal(hub.roomCount, 1)
  const { membership } = join(room)
  release()
  room.remove(membership)
  t.equal(hub.room('room'), room, 'it is still held')
  t.equal(room.holds, 1)
  releaseToo()
  t.equal(hub.room('room'), undefined)
  room.hold()()
  t.strictSame(dropped, ['room'])
  deliver(hub, message('room', 1)) // The room has no members.
  t.equal(hub.backlog.bytes, 0)
})

test('releasing a dropped room does not drop a new one of its name', async (t) => {
  const hub = new Hub()
  const old = hub.open('room')
  old.hold()()
  const room = hub.open('room')
  const { transport } = join(room)
  old.hold()()
  t.equal(hub.room('room'), room)
  deliver(hub, message('room', 1))
  await turn()
  t.strictSame(transport.words, ['1'])
})

test('messages on their way to a room that is dropped do not reach the one that is opened after it', async (t) => {
  const hub = new Hub()
  const old = hub.open('room')
  const { membership } = join(old)
  deliver(hub, message('room', 1))
  old.remove(membership)
  t.equal(hub.room('room'), undefined)
  const { transport } = join(hub.open('room'))
  deliver(hub, message('room', 2))
  await turn()
  await turn()
  t.strictSame(transport.words, ['2'])
  t.equal(hub.backlog.bytes, 0)
})

test('many small rooms are all served, in the order in which they had something', async (t) => {
  const hub = new Hub()
  const order: string[] = []
  const members = Array.from({ length: 5_000 }, (_, i) => {
    const member = join(hub.open(`room${i}`))
    mock.method(member.transport, 'write', () => { order.push(`room${i}`) })
    return member
  })
  for (const { membership } of members) deliver(hub, message(membership.room.name, 1))
  await turn()
  t.ok(order.length > 0 && order.length < members.length, 'not all in one turn')
  while (hub.backlog.bytes > 0) await turn()
  t.strictSame(order, members.map(({ membership }) => membership.room.name))
})

test('a connection sends frames until it ends, and ends once', async (t) => {
  const transport = new RecordingTransport()
  let ends = 0
  const connection = connectTo(transport, { onEnd: () => { ends++ } })
  connection.send({ type: 'pong', id: 1 })
  connection.sendJson('pong', '{"type":"pong","id":2}')
  t.strictSame(transport.json, [{ type: 'pong', id: 1 }, { type: 'pong', id: 2 }])
  t.equal(connection.ended, false)
  connection.close('removed')
  t.equal(transport.closedFor, 'removed')
  t.equal(connection.ended, true)
  connection.send({ type: 'pong' })
  connection.close('goingDown')
  connection.terminate()
  connection.end()
  t.equal(transport.chunks.length, 2, 'nothing follows')
  t.equal(transport.closedFor, 'removed', 'the first reason stands')
  t.equal(ends, 1)
  t.ok(transport.terminated)
})

test('a connection whose socket is closed already is not closed again', async (t) => {
  const transport = new RecordingTransport()
  transport.open = false
  const connection = connectTo(transport)
  connection.close('goingDown')
  t.equal(transport.closedFor, undefined)
  t.ok(connection.ended)
})

test('a slow consumer that does not take its close frame is ended by force', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => { mock.timers.reset() })
  const transport = new RecordingTransport()
  const connection = connectTo(transport, { maxQueueBytes: 10 })
  transport.queued = 11
  connection.send({ type: 'pong' })
  t.equal(transport.closedFor, 'slowConsumer')
  t.equal(transport.terminated, false, 'it gets a moment')
  mock.timers.runAll()
  t.equal(transport.terminated, true)
})

test('without a bound nobody is slow', async (t) => {
  const transport = new RecordingTransport()
  transport.queued = Number.MAX_SAFE_INTEGER
  const connection = connectTo(transport, { maxQueueBytes: 0 })
  connection.send({ type: 'pong' })
  t.equal(connection.ended, false)
  t.equal(transport.chunks.length, 1)
})

test('a drain tells everybody, closes everybody, and ends those who stay by force', async (t) => {
  const hub = new Hub()
  const sockets = setInterval(() => {}, 1_000) // What keeps a process alive whose connections are open.
  t.teardown(() => { clearInterval(sockets) })
  const transports: RecordingTransport[] = []
  const connect = (polite: boolean) => {
    const transport = new RecordingTransport()
    transports.push(transport)
    const connection = connectTo(transport, { onEnd: (connection) => { if (polite) setImmediate(() => { hub.remove(connection) }) } })
    const { terminate } = transport
    transport.terminate = () => { terminate.call(transport); hub.remove(connection) }
    hub.add(connection)
  }
  for (let i = 0; i < 50; i++) connect(i % 10 !== 0)
  const told = transports.length
  const draining = drain(hub, 200, 50)
  t.ok(transports.every(({ json }) => json[0]?.type === 'shutdown'), 'told before anybody is closed')
  t.ok(transports.some(({ open }) => open), 'not closed all at once')
  connect(true) // Comes in the middle of it.
  await draining
  t.equal(hub.connections.size, 0)
  t.ok(transports.every(({ closedFor }) => closedFor === 'goingDown'))
  t.strictSame(
    transports.map(({ terminated }) => terminated),
    transports.map((_, i) => i < told && i % 10 === 0),
    'by force only who did not go'
  )
  const delays = transports.slice(0, told).map(({ json }) => json[0]?.retryAfterMs)
  t.ok(delays.every((delay) => Number.isInteger(delay) && Number(delay) > 0))
  t.ok(new Set(delays).size > told / 2, 'each comes back at a time of its own')
})

test('a drain without connections is over', async (t) => {
  await drain(new Hub(), 0, 60_000)
  const hub = new Hub()
  const transport = new RecordingTransport()
  hub.add(connectTo(transport, { onEnd: (connection) => { hub.remove(connection) } }))
  await drain(hub, 0, 60_000)
  t.equal(transport.closedFor, 'goingDown', 'and without a window it closes at once')
})
