import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { test, type Test } from 'tap'
import { MemoryBroker } from '../../src/broker/memory.ts'
import { events } from '../../src/events/index.ts'
import { Hub } from '../../src/hub/hub.ts'
import { Continuity } from '../../src/rooms/continuity.ts'
import { HistoryReads } from '../../src/rooms/history-reads.ts'
import { historyOf } from '../broker/history-of.ts'
import { join } from '../hub/recorder.ts'
import { openEvents } from '../support/event-stream.ts'
import { call, startService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { close, connect } from '../support/websocket-client.ts'

type Seen = Record<string, unknown> & { event: string, instance: string }

/** Records the events of one instance, until the test is over. */
function record (t: Test, instance: string): Seen[] {
  const seen: Seen[] = []
  for (const [event, { name }] of Object.entries(events)) {
    const onEvent = (payload: unknown): void => {
      const one = { event, ...payload as object } as Seen
      if (one.instance === instance) seen.push(one)
    }
    subscribe(name, onEvent)
    t.teardown(() => { unsubscribe(name, onEvent) })
  }
  return seen
}

const named = (seen: Seen[], ...names: string[]): Seen[] => seen.filter(({ event }) => names.includes(event))

test('the life of a connection, its rooms and its messages are published', async (t) => {
  const service = await startService(t)
  const { instance } = service.app.roomcast.hub
  const seen = record(t, instance)
  const client = await connect(service, { query: 'room=lobby&origin=a-client-of-the-test', protocols: ['roomcast.v1'] })
  const { connection } = await client.next('welcome')
  await client.next('joined')
  t.match(await client.ask({ type: 'chat', text: 'hi' }), { type: 'ack' })
  await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'from REST' }, headers: { 'idempotency-key': 'k' } })
  await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'from REST' }, headers: { 'idempotency-key': 'k' } })
  await client.ask({ type: 'leave', room: 'lobby' })
  await close(client)
  await until(() => named(seen, 'connectionClosed').length > 0)

  const who = { instance, connection, user: 'ada' }
  t.strictSame(seen[0], { event: 'connectionOpened', ...who, origin: 'a-client-of-the-test', transport: 'websocket', connections: 1 })
  t.strictSame(named(seen, 'roomJoined', 'roomOccupied', 'roomLeft', 'roomVacated').filter(({ room }) => room === 'lobby'), [
    { event: 'roomJoined', ...who, room: 'lobby', members: 1 },
    { event: 'roomOccupied', instance, room: 'lobby' },
    { event: 'roomLeft', ...who, room: 'lobby', members: 0 },
    { event: 'roomVacated', instance, room: 'lobby' }
  ])
  t.match(named(seen, 'messagePublished'), [
    { room: 'lobby', from: 'ada', connection, position: { offset: 1 }, replayed: false },
    { room: 'lobby', from: 'ada', position: { offset: 2 }, replayed: false },
    { room: 'lobby', from: 'ada', position: { offset: 2 }, replayed: true }
  ])
  t.equal(named(seen, 'messagePublished')[1]?.connection, undefined)
  t.match(named(seen, 'messageDelivered'), [
    { room: 'lobby', messages: 1, members: 1, position: { offset: 1 } },
    { room: 'lobby', messages: 1, members: 1, position: { offset: 2 } }
  ])
  t.strictSame(seen.at(-1), { event: 'connectionClosed', ...who, reason: undefined, code: 1005, connections: 0 })
})

test('the end of a connection has its reason, whether the server or the client ended it', async (t) => {
  const service = await startService(t, { MAX_MESSAGE_BYTES: '1000' })
  const seen = record(t, service.app.roomcast.hub.instance)
  const end = async (work: () => Promise<unknown>): Promise<Seen | undefined> => {
    const before = named(seen, 'connectionClosed').length
    await work()
    await until(() => named(seen, 'connectionClosed').length > before)
    return named(seen, 'connectionClosed').at(-1)
  }
  t.match(await end(async () => {
    const client = await connect(service)
    client.ws.close(4321)
    await client.closed
  }), { reason: undefined, code: 4321 })
  t.match(await end(async () => { (await connect(service)).ws.terminate() }), { reason: undefined, code: 1006 })
  t.match(await end(async () => { (await connect(service)).send('x'.repeat(1_001)) }), { reason: 'tooBig' })
  t.match(await end(async () => {
    const client = await connect(service)
    for (let i = 0; i < 10; i++) client.send('no JSON')
    await client.closed
  }), { reason: 'protocolError' })
  t.match(await end(async () => {
    const stream = await openEvents(service, '/v1/rooms/lobby/events')
    stream.close()
  }), { reason: undefined, code: undefined })
})

test('a graceful shutdown publishes its begin and its end once, and a reason for each connection', async (t) => {
  const service = await startService(t, { DRAIN_WINDOW_MS: '0' })
  const { hub, shutdown } = service.app.roomcast
  const seen = record(t, hub.instance)
  const clients = await Promise.all([connect(service), connect(service)])
  await shutdown.drain()
  await service.app.close()
  await Promise.all(clients.map(async ({ closed }) => await closed))
  await until(() => named(seen, 'connectionClosed').length === 2)
  t.match(named(seen, 'drainBegan'), [{ connections: 2 }])
  t.match(named(seen, 'drainEnded'), [{ connections: 0 }])
  t.match(named(seen, 'connectionClosed').map(({ reason }) => reason), ['goingDown', 'goingDown'])
})

test('a gap publishes an event when it is found, and one with the outcome when it is closed', async (t) => {
  const broker = new MemoryBroker({ historyOf: historyOf(3), maxHistoryBytes: 0, maxIdleRooms: 0 })
  t.teardown(async () => { await broker.close() })
  const hub = new Hub()
  const seen = record(t, hub.instance)
  const continuity = new Continuity({ hub, broker, reads: new HistoryReads(broker), onError: (error) => { t.error(error as Error) } })
  let loses = false
  broker.listen((envelope) => { if (!loses) continuity.receive(envelope) })
  const room = hub.open('lobby')
  room.adopt(await broker.subscribe('lobby'))
  join(room)
  const publish = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await broker.publish({ room: 'lobby', fields: Buffer.from('"from":"ada","text":"x"') })
  }
  await publish(1)
  loses = true
  await publish(1)
  loses = false
  await publish(1)
  await until(() => named(seen, 'gapClosed').length === 1)
  loses = true
  await publish(10)
  loses = false
  await publish(1)
  await until(() => named(seen, 'gapClosed').length === 2)
  const instance = hub.instance
  t.match(named(seen, 'gapFound', 'gapClosed', 'roomReset'), [
    { event: 'gapFound', instance, room: 'lobby', position: { offset: 1 } },
    { event: 'gapClosed', room: 'lobby', outcome: 'filled', messages: 2 },
    { event: 'gapFound', room: 'lobby', position: { offset: 3 } },
    { event: 'roomReset', room: 'lobby', position: { offset: 14 }, reason: 'history' },
    { event: 'gapClosed', room: 'lobby', outcome: 'reset', messages: 0 }
  ])
})

test('the documentation lists every event', (t) => {
  // Compiled tests are in dist/test/events/.
  const embedding = readFileSync(new URL('../../../docs/embedding.md', import.meta.url), 'utf8')
  const documented = [...embedding.matchAll(/^\| `(roomcast:[a-z:]+)` \|/gm)].map(([, name]) => name)
  t.strictSame(documented.sort(), Object.values(events).map(({ name }) => name).sort())
  t.end()
})
