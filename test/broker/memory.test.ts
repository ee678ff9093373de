import { mock } from 'node:test'
import { test, type Test } from 'tap'
import { FRESH_POSITION_MS, IDEMPOTENCY_MS, positionLifetime, type Publication, type StoredMessage } from '../../src/broker/broker.ts'
import { sizeOf } from '../../src/broker/history.ts'
import { MemoryBroker, type MemoryBrokerOptions } from '../../src/broker/memory.ts'
import { conformance } from './conformance.ts'
import { historyOf } from './history-of.ts'

const DAY_MS = 24 * 3_600_000
const EVERYTHING = { limit: 10_000, maxBytes: 100_000_000 }

let losses = 0

conformance('memory', async (options) => {
  const broker = new MemoryBroker({ ...options, maxHistoryBytes: 0, maxIdleRooms: 0 })
  return {
    broker,
    other: broker,
    cleanup: async () => { await broker.close() },
    // In memory, state is lost by age alone: the room is looked at on another day, and a later one each time.
    loseState: async (room) => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() + ++losses * 2 * DAY_MS })
      try {
        await broker.position(room)
      } finally {
        mock.timers.reset()
      }
    }
  }
})

/** A broker whose time passes only when it is told to. */
function brokerWithClock (t: Test, options: Partial<MemoryBrokerOptions> = {}): MemoryBroker {
  mock.timers.enable({ apis: ['Date', 'setInterval'], now: Date.UTC(2030) })
  t.teardown(() => { mock.timers.reset() })
  const broker = new MemoryBroker({ historyOf: historyOf(), maxHistoryBytes: 0, maxIdleRooms: 0, ...options })
  t.teardown(async () => { await broker.close() })
  return broker
}

/** Lets time pass without taking a step for every sweep of it. */
function pass (ms: number): void {
  mock.timers.setTime(Date.now() + ms - 1_000)
  mock.timers.tick(1_000)
}

function publication (room: string, size = 10): Publication {
  return { room, fields: Buffer.alloc(size, 'x') }
}

async function offsetsIn (broker: MemoryBroker, room: string): Promise<number[]> {
  return (await broker.history(room, EVERYTHING)).messages.map(({ offset }) => offset)
}

async function keptBytes (broker: MemoryBroker, rooms: string[]): Promise<number> {
  const messages: StoredMessage[] = []
  for (const room of rooms) messages.push(...(await broker.history(room, EVERYTHING)).messages)
  return messages.reduce((sum, message) => sum + sizeOf(message), 0)
}

test('history in memory keeps exactly as many messages as it was told', async (t) => {
  const broker = brokerWithClock(t, { historyOf: historyOf(5) })
  for (let i = 1; i <= 12; i++) {
    await broker.publish(publication('room'))
    t.strictSame(await offsetsIn(broker, 'room'), Array.from({ length: Math.min(i, 5) }, (_, n) => Math.max(0, i - 5) + n + 1))
  }
})

test('history in memory keeps messages exactly as long as it was told', async (t) => {
  const broker = brokerWithClock(t, { historyOf: historyOf(1_000, 10) })
  await broker.publish(publication('room'))
  mock.timers.setTime(Date.now() + 5_000)
  await broker.publish(publication('room'))
  mock.timers.setTime(Date.now() + 4_999)
  t.strictSame(await offsetsIn(broker, 'room'), [1, 2])
  mock.timers.setTime(Date.now() + 1)
  t.strictSame(await offsetsIn(broker, 'room'), [2])
  mock.timers.setTime(Date.now() + 5_000)
  t.strictSame(await offsetsIn(broker, 'room'), [])
  t.equal((await broker.position('room'))?.offset, 2)
})

test('all histories together stay within the bound, and the rooms published to least recently give first', async (t) => {
  const size = sizeOf({ offset: 1, time: 0, fields: Buffer.alloc(1_000) })
  const broker = brokerWithClock(t, { maxHistoryBytes: 10 * size })
  const publish = async (room: string) => { await broker.publish(publication(room, 1_000)) }
  for (let i = 0; i < 4; i++) await publish('a')
  for (let i = 0; i < 4; i++) await publish('b')
  await publish('a') // Now b is the one published to least recently.
  await publish('c')
  t.strictSame(
    [await offsetsIn(broker, 'a'), await offsetsIn(broker, 'b'), await offsetsIn(broker, 'c')],
    [[1, 2, 3, 4, 5], [1, 2, 3, 4], [1]],
    'full to the last byte'
  )
  await publish('c')
  t.strictSame(await offsetsIn(broker, 'b'), [2, 3, 4], 'the oldest of b')
  for (let i = 0; i < 3; i++) await publish('c')
  t.strictSame([await offsetsIn(broker, 'a'), await offsetsIn(broker, 'b')], [[1, 2, 3, 4, 5], []], 'all of b before anything of a')
  await publish('d')
  t.strictSame(
    [await offsetsIn(broker, 'a'), await offsetsIn(broker, 'c'), await offsetsIn(broker, 'd')],
    [[2, 3, 4, 5], [1, 2, 3, 4, 5], [1]]
  )

  t.equal((await broker.position('b'))?.offset, 4, 'a room that gave everything keeps its position')
  t.equal((await broker.history('b', { after: 4, ...EVERYTHING })).recovered, true)
  t.equal((await broker.history('b', { after: 3, ...EVERYTHING })).recovered, false)
  await publish('b')
  t.strictSame(await offsetsIn(broker, 'b'), [5], 'and goes on')
})

test('the bound holds whatever is published, forgotten or too old', async (t) => {
  const maxHistoryBytes = 50_000
  const broker = brokerWithClock(t, { maxHistoryBytes, historyOf: historyOf(40, 60) })
  const rooms = Array.from({ length: 20 }, (_, i) => `room${i}`)
  let seed = 42
  const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below
  for (let i = 0; i < 3_000; i++) {
    const room = rooms[random(rooms.length)] as string
    if (random(50) === 0) await broker.forget(room)
    else if (random(20) === 0) pass(1_000 + random(5_000))
    else await broker.publish({ ...publication(room, random(1_000)), bytes: random(3) === 0 ? Buffer.alloc(random(2_000)) : undefined })
    if (i % 100 === 0) {
      const bytes = await keptBytes(broker, rooms)
      if (bytes > maxHistoryBytes) t.fail(`${bytes} bytes are kept`)
    }
  }
  // What was taken away is free again: nothing is counted twice, nothing stays counted.
  for (const room of rooms) await broker.forget(room)
  const size = sizeOf({ offset: 1, time: 0, fields: Buffer.alloc(800) })
  for (let i = 0; i < 100; i++) await broker.publish(publication(rooms[i % 5] as string, 800))
  t.equal(await keptBytes(broker, rooms), size * Math.floor(maxHistoryBytes / size), 'the whole bound can be used')
})

test('a message that is bigger than the bound is delivered and not kept', async (t) => {
  const broker = brokerWithClock(t, { maxHistoryBytes: 1_000 })
  const delivered: string[] = []
  broker.listen(({ room }) => { delivered.push(room) })
  await broker.subscribe('room')
  t.equal((await broker.publish(publication('room', 2_000))).position?.offset, 1)
  t.strictSame(delivered, ['room'])
  t.strictSame(await offsetsIn(broker, 'room'), [])
  await broker.publish(publication('room', 100))
  t.strictSame(await offsetsIn(broker, 'room'), [2])
})

test('a publish is remembered under its key for five minutes', async (t) => {
  const broker = brokerWithClock(t)
  const publish = async (fingerprint = 'same') => await broker.publish({ ...publication('room'), idempotency: { id: 'key', fingerprint } })
  const first = await publish()
  mock.timers.setTime(Date.now() + IDEMPOTENCY_MS - 1)
  t.strictSame(await publish(), { ...first, replayed: true })
  await t.rejects(publish('other'), { code: 'idempotency_conflict' })
  mock.timers.setTime(Date.now() + 1)
  const second = await publish('other')
  t.match(second, { position: { offset: 2 }, replayed: false }, 'then it is a new one')
  mock.timers.setTime(Date.now() + IDEMPOTENCY_MS - 1)
  t.strictSame(await publish('other'), { ...second, replayed: true }, 'and is remembered for as long')
  pass(2 * IDEMPOTENCY_MS)
  t.match(await publish(), { position: { offset: 3 }, replayed: false })
})

test('no key is forgotten within its five minutes, however many there are', async (t) => {
  const broker = brokerWithClock(t, { historyOf: historyOf(1) })
  const publish = async (key: number) => await broker.publish({ ...publication('room'), idempotency: { id: `${key}`, fingerprint: 'x' } })
  const first = await publish(0)
  for (let key = 1; key < 50_000; key++) await publish(key)
  mock.timers.setTime(Date.now() + IDEMPOTENCY_MS - 1)
  t.strictSame(await publish(0), { ...first, replayed: true })
})

test('of rooms without a subscription the least recently used is evicted, and starts a new epoch', async (t) => {
  const broker = brokerWithClock(t, { maxIdleRooms: 3 })
  const first = await Promise.all(['a', 'b', 'c'].map(async (room) => (await broker.publish(publication(room))).position))
  await broker.history('a', EVERYTHING) // Now b is the least recently used.
  await broker.publish(publication('d'))
  t.strictSame(await broker.position('a'), first[0])
  t.strictSame(await broker.position('c'), first[2])
  const page = await broker.history('b', { after: 1, epoch: first[1]?.epoch, ...EVERYTHING }) // Evicts d.
  t.match(page, { recovered: false, messages: [], position: { offset: 0 } })
  t.not(page.position?.epoch, first[1]?.epoch)
  t.strictSame([await offsetsIn(broker, 'a'), await offsetsIn(broker, 'c')], [[1], [1]])
  t.match(await broker.publish(publication('b')), { position: { epoch: page.position?.epoch, offset: 1 } })
})

test('a room with a subscription is never evicted, and counts again when it is unsubscribed', async (t) => {
  const broker = brokerWithClock(t, { maxIdleRooms: 2 })
  const delivered: string[] = []
  broker.listen(({ room }) => { delivered.push(room) })
  const before = (await broker.publish(publication('occupied'))).position
  await broker.subscribe('occupied')
  await broker.subscribe('fresh')
  for (let i = 0; i < 100; i++) await broker.publish(publication(`room${i}`))
  t.strictSame(await broker.position('occupied'), before)
  t.match(await broker.publish(publication('occupied')), { position: { epoch: before?.epoch, offset: 2 } })
  t.strictSame(delivered, ['occupied'])
  await broker.unsubscribe('occupied')
  await broker.publish(publication('other'))
  t.strictSame(await offsetsIn(broker, 'occupied'), [1, 2])
  for (let i = 0; i < 2; i++) await broker.publish(publication(`room${i}`))
  t.not((await broker.position('occupied'))?.epoch, before?.epoch)
})

test('an evicted room leaves no bytes behind, and its epochs never come twice', async (t) => {
  const broker = brokerWithClock(t, { maxIdleRooms: 1, maxHistoryBytes: 10_000 })
  const epochs = new Set<string | undefined>()
  for (let i = 0; i < 5_000; i++) {
    const { position } = await broker.publish(publication(`room${i % 2}`, 5_000)) // All within one ms.
    t.equal(position?.offset, 1)
    epochs.add(position?.epoch)
  }
  t.equal(epochs.size, 5_000)
  await broker.publish(publication('room', 9_000))
  t.strictSame(await offsetsIn(broker, 'room'), [1])
})

test('a retry replays although its room was evicted', async (t) => {
  const broker = brokerWithClock(t, { maxIdleRooms: 1 })
  const publish = async () => await broker.publish({ ...publication('room'), idempotency: { id: 'key', fingerprint: 'x' } })
  const first = await publish()
  await broker.publish(publication('other'))
  t.strictSame(await publish(), { ...first, replayed: true })
})

test('times do not decrease when the clock is set back', async (t) => {
  const broker = brokerWithClock(t)
  const { time } = await broker.publish(publication('room'))
  mock.timers.reset()
  mock.timers.enable({ apis: ['Date', 'setInterval'], now: Date.UTC(2029) })
  t.equal((await broker.publish(publication('room'))).time, time)
})

test('a position is kept for a day after the latest publish', async (t) => {
  const broker = brokerWithClock(t)
  const lifetime = positionLifetime({ size: 1, ttlSeconds: 3_600 })
  t.equal(lifetime, DAY_MS)
  t.equal(positionLifetime({ size: 1, ttlSeconds: 13 * 3_600 }), 26 * 3_600_000, 'or twice the age of history')
  const first = await broker.publish(publication('room'))
  pass(lifetime - 1_000)
  t.strictSame(await broker.position('room'), first.position)
  const second = await broker.publish(publication('room'))
  t.strictSame(second.position, { epoch: first.position?.epoch, offset: 2 })
  pass(lifetime)
  const position = await broker.position('room')
  t.equal(position?.offset, 0)
  t.not(position?.epoch, first.position?.epoch, 'a new order')
})

test('a position that was only asked for is kept for ten minutes', async (t) => {
  const broker = brokerWithClock(t)
  const position = await broker.position('room')
  pass(FRESH_POSITION_MS - 1_000)
  t.strictSame(await broker.position('room'), position)
  pass(FRESH_POSITION_MS)
  t.not((await broker.position('room'))?.epoch, position?.epoch)
})

test('a position is kept as long as somebody is subscribed, and ten minutes longer', async (t) => {
  const broker = brokerWithClock(t)
  const position = await broker.subscribe('room')
  for (let day = 0; day < 3; day++) pass(DAY_MS)
  t.strictSame(await broker.position('room'), position)
  await broker.unsubscribe('room')
  pass(FRESH_POSITION_MS - 1_000)
  t.strictSame(await broker.position('room'), position)
  pass(FRESH_POSITION_MS)
  t.not((await broker.position('room'))?.epoch, position?.epoch)
})

test('an expired room leaves nothing that a new one under its name would find', async (t) => {
  const broker = brokerWithClock(t, { maxHistoryBytes: 10_000, historyOf: historyOf(1_000, 365 * 24 * 3_600) })
  await broker.publish(publication('room', 5_000))
  mock.timers.setTime(Date.now() + positionLifetime({ size: 1, ttlSeconds: 365 * 24 * 3_600 })) // No sweep has seen it.
  t.match(await broker.publish(publication('room', 1_000)), { position: { offset: 1 } })
  t.strictSame(await offsetsIn(broker, 'room'), [1])
  await broker.publish(publication('other', 8_000))
  t.strictSame([await offsetsIn(broker, 'room'), await offsetsIn(broker, 'other')], [[1], [1]], 'its bytes are free')
})

test('a closed broker leaves no timer behind', async (t) => {
  const started = mock.method(globalThis, 'setInterval')
  const stopped = mock.method(globalThis, 'clearInterval')
  t.teardown(() => { mock.restoreAll() })
  const broker = new MemoryBroker({ historyOf: historyOf(1, 1), maxHistoryBytes: 1, maxIdleRooms: 0 })
  await broker.close()
  t.equal(started.mock.callCount(), 1)
  t.strictSame(stopped.mock.calls.map(({ arguments: [timer] }) => timer), started.mock.calls.map(({ result }) => result))
})
