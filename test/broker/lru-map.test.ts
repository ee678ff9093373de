import { test } from 'tap'
import { LruMap } from '../../src/broker/lru-map.ts'

test('the oldest entry is the one that was set longest ago', async (t) => {
  const map = new LruMap<string, number>()
  t.equal(map.oldest, undefined)
  map.set('a', 1)
  map.set('b', 2)
  map.set('c', 3)
  t.strictSame(map.oldest, ['a', 1])
  map.set('a', 4)
  t.strictSame(map.oldest, ['b', 2], 'another set makes it the most recent')
  t.equal(map.get('a'), 4)
  map.delete('b')
  t.strictSame(map.oldest, ['c', 3])
  map.delete('c')
  map.delete('unknown')
  t.strictSame(map.oldest, ['a', 4])
  map.delete('a')
  t.equal(map.oldest, undefined)
  map.set('d', 5)
  t.strictSame([map.oldest, map.size], [['d', 5], 1], 'and goes on after it was empty')
})

test('its order is that of a list, whatever is set and deleted', async (t) => {
  const map = new LruMap<number, number>()
  let list: number[] = []
  let seed = 7
  const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below
  for (let i = 0; i < 20_000; i++) {
    const key = random(100)
    const action = random(4)
    if (action < 2) {
      map.set(key, i)
      list = [...list.filter((other) => other !== key), key]
    } else {
      const gone = action === 2 ? key : map.oldest?.[0] ?? key
      map.delete(gone)
      list = list.filter((other) => other !== gone)
    }
    if (random(2) === 0 && map.oldest?.[0] !== list[0]) t.fail(`step ${i}: ${map.oldest?.[0]} instead of ${list[0]}`)
    if (map.size !== list.length) t.fail(`step ${i}: ${map.size} entries instead of ${list.length}`)
  }
})

/** CPU time of evictions from a map that stays at a size, ms. */
function timeEvictions (size: number): number {
  const map = new LruMap<number, true>()
  for (let i = 0; i < size; i++) map.set(i, true)
  const before = process.cpuUsage()
  for (let i = 0; i < 20_000; i++) {
    map.set(size + i, true)
    if (map.oldest !== undefined) map.delete(map.oldest[0])
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

test('an eviction takes as long from a large map as from a small one', async (t) => {
  timeEvictions(1_000) // Compiles it.
  const least = (size: number): number => Math.min(...Array.from({ length: 5 }, () => timeEvictions(size)))
  const small = least(2_000)
  const large = least(200_000)
  t.ok(large < 16 * Math.max(small, 1), `${large} ms for a hundred times as many entries, ${small} ms before`)
})
