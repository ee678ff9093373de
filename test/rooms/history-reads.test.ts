import { test, type Test } from 'tap'
import type { HistoryPage } from '../../src/broker/broker.ts'
import { MemoryBroker } from '../../src/broker/memory.ts'
import { HistoryReads } from '../../src/rooms/history-reads.ts'
import { historyOf } from '../broker/history-of.ts'

const QUERY = { after: 0, limit: 10, maxBytes: 1_000 }

/** Reads of a broker that answers each when it is told to. */
function start (t: Test) {
  const broker = new MemoryBroker({ historyOf: historyOf(), maxHistoryBytes: 0, maxIdleRooms: 0 })
  t.teardown(async () => { await broker.close() })
  const asked: { room: string, answer: (offset: number) => void, fail: () => void }[] = []
  broker.history = async (room) => await new Promise<HistoryPage>((resolve, reject) => {
    asked.push({
      room,
      answer: (offset) => { resolve({ position: { epoch: 'e', offset }, recovered: true, messages: [] }) },
      fail: () => { reject(new Error('away')) }
    })
  })
  const settle = async () => await new Promise((resolve) => setImmediate(resolve))
  return { reads: new HistoryReads(broker), asked, settle }
}

test('equal reads are made once, unless one has begun: who asks gets nothing older than that', async (t) => {
  const { reads, asked, settle } = start(t)
  const first = reads.read('a', QUERY)
  const later = [reads.read('a', QUERY), reads.read('a', { ...QUERY }), reads.read('a', QUERY)]
  const other = reads.read('a', { ...QUERY, after: 1 })
  t.strictSame(asked.map(({ room }) => room), ['a', 'a'], 'the first, and the other one')
  asked[0]?.answer(1)
  t.equal((await first).position?.offset, 1)
  await settle()
  t.equal(asked.length, 3)
  asked[2]?.answer(2)
  t.strictSame((await Promise.all(later)).map(({ position }) => position?.offset), [2, 2, 2])
  asked[1]?.answer(3)
  t.equal((await other).position?.offset, 3)
})

test('sixteen reads are made at once, and the others in the order in which they were asked for', async (t) => {
  const { reads, asked, settle } = start(t)
  const all = Promise.all(Array.from({ length: 40 }, async (_, i) => await reads.read(`room-${i}`, QUERY)))
  t.equal(asked.length, 16)
  for (let i = 0; i < 40; i++) {
    asked[i]?.answer(i)
    await settle()
    t.equal(asked.length, Math.min(40, 17 + i))
  }
  t.strictSame((await all).map(({ position }) => position?.offset), Array.from({ length: 40 }, (_, i) => i))
  t.strictSame(asked.map(({ room }) => room), Array.from({ length: 40 }, (_, i) => `room-${i}`))
})

test('one that fails fails for who asked, and makes room for the next', async (t) => {
  const { reads, asked, settle } = start(t)
  const failing = reads.read('a', QUERY)
  const next = reads.read('a', QUERY)
  asked[0]?.fail()
  await t.rejects(failing, { message: 'away' })
  await settle()
  asked[1]?.answer(1)
  t.equal((await next).position?.offset, 1)
})

test('one that waits for too long is given up', async (t) => {
  const { reads, asked, settle } = start(t)
  const stuck = Array.from({ length: 16 }, async (_, i) => await reads.read(`room-${i}`, QUERY))
  await t.rejects(reads.read('late', QUERY), { code: 'unavailable', retryable: true })
  for (const { answer } of asked) answer(1)
  await Promise.all(stuck)
  await settle()
  t.equal(asked.length, 16, 'and not made any more')
  const again = reads.read('late', QUERY)
  asked[16]?.answer(1)
  t.equal((await again).position?.offset, 1)
})
