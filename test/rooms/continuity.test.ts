import { setTimeout as sleep } from 'node:timers/promises'
import { test, type Test } from 'tap'
import { MemoryBroker, type MemoryBrokerOptions } from '../../src/broker/memory.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Envelope } from '../../src/protocol/envelope.ts'
import { Continuity } from '../../src/rooms/continuity.ts'
import { HistoryReads } from '../../src/rooms/history-reads.ts'
import { historyOf } from '../broker/history-of.ts'
import { until } from '../support/until.ts'
import { join } from '../hub/recorder.ts'

/** A room with a member, and a broker that loses and repeats what the test tells it to. */
async function start (t: Test, options: Partial<MemoryBrokerOptions> = {}) {
  const broker = new MemoryBroker({ historyOf: historyOf(10_000), maxHistoryBytes: 0, maxIdleRooms: 0, ...options })
  t.teardown(async () => { await broker.close() })
  const hub = new Hub()
  const released: string[] = []
  hub.whenDropped(({ name }) => { released.push(name) })
  const continuity = new Continuity({ hub, broker, reads: new HistoryReads(broker), onError: (error) => { t.error(error as Error) } })
  const delivery = { way: (envelope: Envelope): Envelope[] => [envelope] }
  broker.listen((envelope) => { for (const one of delivery.way(envelope)) continuity.receive(one) })
  const room = hub.open('lobby')
  room.adopt(await broker.subscribe('lobby'))
  const member = join(room)
  const publish = async (text: string, exclude?: string) =>
    await broker.publish({ room: 'lobby', fields: Buffer.from(`"from":"ada","text":"${text}"`), exclude })
  const words = () => member.transport.words
  return { broker, continuity, delivery, room, hub, member, publish, words, released }
}

test('what is missing is read from history before anything newer is delivered, once', async (t) => {
  const { continuity, delivery, publish, words, member, room } = await start(t)
  delivery.way = (envelope) => envelope.kind === 'message' && [3, 4, 8].includes(envelope.position?.offset ?? 0) ? [] : [envelope]
  for (let i = 1; i <= 10; i++) await publish(`${i}`)
  await until(() => words().length === 10)
  t.strictSame(words(), ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10'])
  t.strictSame(member.transport.json.map(({ offset }) => offset), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  t.ok(continuity.counts.gaps >= 1)
  t.ok(continuity.counts.filled >= 1)
  t.equal(continuity.counts.resets, 0)
  await until(() => room.holds === 0, 'the room to be released')
})

test('what comes twice, or late, is dropped and counted', async (t) => {
  const { continuity, delivery, publish, words } = await start(t)
  const late: Envelope[] = []
  delivery.way = (envelope) => {
    late.push(envelope)
    return [envelope, envelope]
  }
  for (let i = 1; i <= 3; i++) await publish(`${i}`)
  for (const envelope of late) continuity.receive(envelope)
  await until(() => words().length === 3)
  t.strictSame(words(), ['1', '2', '3'])
  t.equal(continuity.counts.duplicates, 6)
  t.equal(continuity.counts.gaps, 0)
})

test('a position that is ahead means a hole; one that is not, nothing', async (t) => {
  const { broker, continuity, delivery, publish, words } = await start(t)
  await publish('1')
  delivery.way = () => []
  await publish('2')
  await publish('3')
  const position = await broker.position('lobby')
  if (position === undefined) throw new Error('there is no position')
  continuity.receive({ kind: 'position', room: 'lobby', position })
  continuity.receive({ kind: 'position', room: 'lobby', position })
  await until(() => words().length === 3)
  t.strictSame(words(), ['1', '2', '3'])
  continuity.receive({ kind: 'position', room: 'lobby', position })
  t.equal(continuity.counts.gaps, 1)
})

test('those a message is not for do not get it from history either', async (t) => {
  const { delivery, publish, words, room } = await start(t)
  const tab = join(room, { origin: 'the-tab-of-the-sender' })
  await publish('1')
  delivery.way = () => []
  await publish('2', 'the-tab-of-the-sender')
  delivery.way = (envelope) => [envelope]
  await publish('3')
  await until(() => words().length === 3)
  t.strictSame(words(), ['1', '2', '3'])
  t.strictSame(tab.transport.words, ['1', '3'])
})

test('a hole of more than a page, and more behind it than is held, is filled all the same', async (t) => {
  const { delivery, publish, words } = await start(t)
  await publish('0')
  delivery.way = () => []
  for (let i = 1; i <= 1_200; i++) await publish(`${i}`)
  delivery.way = (envelope) => [envelope]
  // Within one turn of the event loop: nothing is read in between.
  await Promise.all(Array.from({ length: 2_500 }, async (_, i) => await publish(`${1_201 + i}`)))
  await until(() => words().length === 3_701)
  t.strictSame(words(), Array.from({ length: 3_701 }, (_, i) => `${i}`))
})

test('what history does not keep any more is declared, and what follows is in order', async (t) => {
  const { continuity, delivery, publish, words, member } = await start(t, { historyOf: historyOf(5) })
  await publish('1')
  delivery.way = () => []
  for (let i = 2; i <= 20; i++) await publish(`${i}`)
  delivery.way = (envelope) => [envelope]
  const { position } = await publish('21')
  await until(() => words().length === 2)
  await publish('22')
  await until(() => words().length === 3)
  t.strictSame(words(), ['1', 'reset', '22'])
  t.match(member.transport.json[1], { type: 'reset', room: 'lobby', ...position, reason: 'history' })
  t.equal(continuity.counts.resets, 1)
})

test('another epoch is declared and delivered from its beginning; one that is over is no reason to switch', async (t) => {
  const { broker, continuity, delivery, publish, words, member } = await start(t)
  const old = await publish('1')
  // An envelope of an epoch that the broker does not have: late, from before.
  continuity.receive({
    kind: 'message', room: 'lobby', position: { epoch: 'before', offset: 9 }, time: 1, fields: Buffer.from('"text":"late"')
  })
  await publish('2')
  await until(() => words().length === 2)
  await sleep(0)
  t.strictSame(words(), ['1', '2'])
  t.equal(continuity.counts.resets, 0)

  // The broker begins again, as Redis does after a restart.
  const again = new MemoryBroker({ historyOf: historyOf(10), maxHistoryBytes: 0, maxIdleRooms: 0 })
  t.teardown(async () => { await again.close() })
  delivery.way = () => []
  broker.history = async (room, query) => await again.history(room, query)
  broker.position = async (room) => await again.position(room)
  const first = await again.publish({ room: 'lobby', fields: Buffer.from('"from":"ada","text":"a"') })
  const second = await again.publish({ room: 'lobby', fields: Buffer.from('"from":"ada","text":"b"') })
  continuity.receive({ kind: 'message', room: 'lobby', position: second.position, time: 1, fields: Buffer.from('"from":"ada","text":"b"') })
  await until(() => words().length === 5)
  t.strictSame(words(), ['1', '2', 'reset', 'a', 'b'])
  t.not(first.position?.epoch, old.position?.epoch)
  t.match(member.transport.json[2], { type: 'reset', epoch: first.position?.epoch, offset: 0, reason: 'epoch' })
})

test('while history cannot be read everything is held, and delivered when it can', async (t) => {
  const { broker, continuity, delivery, publish, words } = await start(t)
  const read = broker.history.bind(broker)
  let failed = 0
  broker.history = async () => {
    failed++
    throw new Error('away')
  }
  await publish('1')
  delivery.way = () => []
  await publish('2')
  delivery.way = (envelope) => [envelope]
  await publish('3')
  await until(() => failed > 1)
  t.strictSame(words(), ['1'])
  broker.history = read
  await until(() => words().length === 3)
  t.strictSame(words(), ['1', '2', '3'])
  t.equal(continuity.counts.gaps, 1)
})

test('what all rooms hold together has a bound, and what is beyond it is read from history', async (t) => {
  const { broker, continuity, delivery, hub } = await start(t)
  const read = broker.history.bind(broker)
  broker.history = async () => { throw new Error('away') }
  const members = await Promise.all(Array.from({ length: 20 }, async (_, i) => {
    const room = hub.open(`room${i}`)
    room.adopt(await broker.subscribe(room.name))
    return join(room)
  }))
  const fields = Buffer.from(`"from":"ada","text":"x","data":"${'x'.repeat(1_000_000)}"`)
  const publish = async () => { for (let i = 0; i < 20; i++) await broker.publish({ room: `room${i}`, fields }) }
  delivery.way = () => []
  await publish()
  delivery.way = (envelope) => [envelope]
  for (let i = 0; i < 4; i++) await publish()
  const held = continuity.heldBytes
  t.ok(held > 60 * 1024 * 1024 && held <= 64 * 1024 * 1024, `${held} bytes of 80,000,000 are held`)
  broker.history = read
  await until(() => members.every(({ transport }) => transport.json.length === 5), 'all messages')
  for (const { transport } of members) t.strictSame(transport.json.map(({ offset }) => offset), [1, 2, 3, 4, 5])
  await until(() => continuity.heldBytes === 0, 'nothing to be held')
})

test('when the last member goes while a hole is filled, the room is let go of', async (t) => {
  const { delivery, publish, hub, room, member, released } = await start(t)
  await publish('1')
  delivery.way = () => []
  await publish('2')
  delivery.way = (envelope) => [envelope]
  await publish('3')
  room.remove(member.membership)
  t.equal(hub.room('lobby'), room, 'not at once')
  await until(() => released.length === 1)
  t.equal(hub.room('lobby'), undefined)
})
