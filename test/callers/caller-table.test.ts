import { test } from 'tap'
import { CallerTable } from '../../src/callers/caller-table.ts'

interface Counter {
  count: number
}

test('a caller keeps its state until it is as good as new', async (t) => {
  const table = new CallerTable<Counter>(() => ({ count: 0 }), ({ count }) => count === 0)
  const ada = table.of('ada')
  ada.count = 1
  t.equal(table.of('ada'), ada)
  t.not(table.of('bob'), ada)
  ada.count = 0
  t.not(table.of('ada'), ada)
})

test('callers that are as good as new leave nothing behind', async (t) => {
  const table = new CallerTable<Counter>(() => ({ count: 0 }), ({ count }) => count === 0)
  for (let i = 0; i < 10; i++) table.of(`unused-${i}`)
  t.equal(table.size, 1, 'each was still new when the next came')
  const states = Array.from({ length: 1_000 }, (_, i) => {
    const state = table.of(`user-${i}`)
    state.count = 1
    return state
  })
  t.equal(table.size, 1_000)
  for (const state of states) state.count = 0
  table.of('ada')
  t.equal(table.size, 1)
})

test('a busy caller is kept, and those that came before it go', async (t) => {
  const table = new CallerTable<Counter>(() => ({ count: 1 }), ({ count }) => count === 0)
  const [first, busy] = [table.of('first'), table.of('busy')]
  first.count = 0
  t.equal(table.of('busy'), busy)
  t.equal(table.size, 1)
})
