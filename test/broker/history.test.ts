import { test } from 'tap'
import type { StoredMessage } from '../../src/broker/broker.ts'
import { History, sizeOf } from '../../src/broker/history.ts'

function message (offset: number, size = 10, payload?: number): StoredMessage {
  return { offset, time: offset, fields: Buffer.alloc(size), bytes: payload === undefined ? undefined : Buffer.alloc(payload) }
}

test('an empty history has nothing', async (t) => {
  const history = new History()
  t.equal(history.length, 0)
  t.equal(history.first, undefined)
  t.equal(history.at(1), undefined)
  t.equal(history.shift(), 0)
  t.equal(history.length, 0, 'and removing from it takes nothing away')
  t.equal(history.bytes, 0)
})

test('a message is found by its offset, wherever the history begins', async (t) => {
  const history = new History()
  for (let offset = 41; offset <= 50; offset++) history.push(message(offset))
  history.shift()
  history.shift()
  t.equal(history.first?.offset, 43)
  for (let offset = 43; offset <= 50; offset++) t.equal(history.at(offset)?.offset, offset)
  for (const offset of [0, 1, 40, 41, 42, 51, 1_000]) t.equal(history.at(offset), undefined)
})

test('the size counts content, payload and what keeping a message costs', async (t) => {
  const history = new History()
  history.push(message(1, 100))
  history.push(message(2, 100, 1_000))
  t.equal(history.bytes, sizeOf(message(1, 100)) + sizeOf(message(2, 100, 1_000)))
  t.equal(sizeOf(message(2, 100, 1_000)) - sizeOf(message(1, 100)), 1_000)
  t.ok(sizeOf(message(1, 0)) > 0, 'an empty message is not free')
  t.equal(history.shift(), sizeOf(message(1, 100)))
  t.equal(history.bytes, sizeOf(message(2, 100, 1_000)))
  history.clear()
  t.equal(history.bytes, 0)
  t.equal(history.length, 0)
  history.push(message(3))
  t.equal(history.at(3)?.offset, 3, 'it goes on behind what was cleared')
})

test('a history that moves on for long stays right: it is what an array would be', async (t) => {
  const history = new History()
  const model: StoredMessage[] = []
  let offset = 0
  let seed = 7
  const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below
  for (let i = 0; i < 20_000; i++) {
    // Longer waves than the array is compacted at, so that it fills and empties many times.
    if (random(100) < (Math.floor(i / 500) % 2 === 0 ? 70 : 30)) {
      const next = message(++offset, random(50), random(2) === 0 ? undefined : random(50))
      history.push(next)
      model.push(next)
    } else {
      const removed = model.shift()
      if (history.shift() !== (removed === undefined ? 0 : sizeOf(removed))) throw new Error(`step ${i}: another size was removed`)
    }
    const probe = offset - random(200)
    if (history.length !== model.length || history.first !== model[0] || history.at(probe) !== model.find((one) => one.offset === probe)) {
      throw new Error(`step ${i}: the history is not what it should be`)
    }
  }
  t.equal(history.bytes, model.reduce((sum, one) => sum + sizeOf(one), 0))
})
