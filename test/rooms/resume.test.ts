import { test, type Test } from 'tap'
import type { HistoryPage } from '../../src/broker/broker.ts'
import { MemoryBroker } from '../../src/broker/memory.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Envelope } from '../../src/protocol/envelope.ts'
import type { Position } from '../../src/protocol/position.ts'
import { Continuity } from '../../src/rooms/continuity.ts'
import { HistoryReads } from '../../src/rooms/history-reads.ts'
import { type Missed, Resumes } from '../../src/rooms/resume.ts'
import { historyOf } from '../broker/history-of.ts'
import { until } from '../support/until.ts'
import { join, parseWire } from '../hub/recorder.ts'

/** A room with a member, a broker that loses what the test tells it to, and reads of history that can be held back. */
async function start (t: Test) {
  const broker = new MemoryBroker({ historyOf: historyOf(10_000), maxHistoryBytes: 0, maxIdleRooms: 0 })
  t.teardown(async () => { await broker.close() })
  const read = broker.history.bind(broker)
  const held: (() => void)[] = []
  const network = { loses: false, holdsReads: false }
  // What history had when it was asked, told late.
  broker.history = async (...query) => {
    const page = await read(...query)
    if (network.holdsReads) await new Promise<void>((resolve) => { held.push(resolve) })
    return page
  }
  const hub = new Hub()
  const reads = new HistoryReads(broker)
  const continuity = new Continuity({ hub, broker, reads, onError: (error) => { t.error(error as Error) } })
  const resumes = new Resumes({ reads, continuity })
  broker.listen((envelope: Envelope) => { if (!network.loses) continuity.receive(envelope) })
  const room = hub.open('lobby')
  room.adopt(await broker.subscribe('lobby'))
  const member = join(room)
  const publish = async (text: string) => await broker.publish({ room: 'lobby', fields: Buffer.from(`"from":"ada","text":"${text}"`) })
  /** What somebody gets who comes back, up to when they are let in. */
  const comeBack = async (offset: number, epoch = (room.delivered as Position).epoch): Promise<Missed> => {
    const release = room.hold()
    const resume = resumes.begin(room, join(hub.open('another')).membership.connection, { epoch, offset })
    let missed: Missed | undefined
    while (missed === undefined) {
      await resume.read()
      missed = await new Promise((resolve) => { room.run(() => { resolve(resume.result()) }) })
    }
    resume.end()
    release()
    return missed
  }
  return { broker, continuity, hub, network, held, room, member, publish, comeBack, words: () => member.transport.words }
}

function wordsOf ({ batches }: Missed): unknown[] {
  return batches
    .flatMap(({ websocket }) => parseWire(websocket))
    .map(({ payload }) => (JSON.parse(payload.toString()) as { text: string }).text)
}

test('who comes back while a hole is filled with an older page waits for it, and gets the newer ones as well', async (t) => {
  const { network, held, publish, comeBack, words } = await start(t)
  await publish('1')
  network.loses = true
  await publish('2')
  network.loses = false
  network.holdsReads = true
  await publish('3')
  await until(() => held.length === 1, 'the hole to be read')
  network.holdsReads = false
  network.loses = true
  await publish('4')
  const back = comeBack(1)
  await new Promise((resolve) => setImmediate(resolve))
  held[0]?.()
  const missed = await back
  t.match(missed, { recovered: true, count: 3 })
  t.strictSame(wordsOf(missed), ['2', '3', '4'])
  await until(() => words().length === 4)
  t.strictSame(words(), ['1', '2', '3', '4'], 'the member too, in order')
})

test('who knows more than the room has got waits until that is filled in', async (t) => {
  const { network, publish, comeBack, continuity, room } = await start(t)
  await publish('1')
  network.loses = true
  for (const text of ['2', '3', '4']) await publish(text)
  t.equal(room.delivered?.offset, 1)
  const missed = await comeBack(3)
  t.match(missed, { recovered: true, count: 1 })
  t.strictSame(wordsOf(missed), ['4'])
  t.equal(room.delivered?.offset, 4)
  t.equal(continuity.counts.resets, 0)
})

test('when the room begins again while history is read, nothing is recovered', async (t) => {
  const { broker, network, held, publish, comeBack, room } = await start(t)
  const { position } = await publish('1')
  await publish('2')
  network.holdsReads = true
  const back = comeBack(1)
  await until(() => held.length === 1)
  network.holdsReads = false
  const again = new MemoryBroker({ historyOf: historyOf(), maxHistoryBytes: 0, maxIdleRooms: 0 })
  t.teardown(async () => { await again.close() })
  const fresh = await again.publish({ room: 'lobby', fields: Buffer.from('"text":"a"') })
  broker.history = async (name, query) => await again.history(name, query)
  room.reset(fresh.position as Position, 'epoch')
  held[0]?.()
  t.strictSame(await back, { recovered: false, count: 0, batches: [] })
  t.match(await comeBack(1, position?.epoch), { recovered: false })
  t.match(await comeBack(0, fresh.position?.epoch), { recovered: true, count: 1 })
})

test('a room that cannot be filled in refuses who comes back, and stays as it is', async (t) => {
  const { broker, network, publish, comeBack, words } = await start(t)
  const process = setInterval(() => {}, 1_000) // What waits here does not keep one alive.
  t.teardown(() => { clearInterval(process) })
  await publish('1')
  network.loses = true
  await publish('2')
  network.loses = false
  const read = broker.history
  broker.history = async (room, query): Promise<HistoryPage> => {
    if (query.after === 1) throw new Error('away')
    return await read(room, query)
  }
  await publish('3')
  await t.rejects(comeBack(2), { code: 'unavailable', retryable: true })
  broker.history = read
  await until(() => words().length === 3)
  t.strictSame(words(), ['1', '2', '3'])
  t.match(await comeBack(1), { recovered: true, count: 2 })
})
