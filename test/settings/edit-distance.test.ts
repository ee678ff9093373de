import { test } from 'tap'
import { editDistance } from '../../src/settings/edit-distance.ts'

test('a distance counts insertions, removals, replacements and swaps of neighbours', (t) => {
  for (const [a, b, distance] of [
    ['', '', 0], ['REDIS_URL', 'REDIS_URL', 0], ['REDIS_ULR', 'REDIS_URL', 1], ['REDIS_URI', 'REDIS_URL', 1], ['REDISURL', 'REDIS_URL', 1],
    ['JWT_SECRETT', 'JWT_SECRET', 1], ['JTW_SECERT', 'JWT_SECRET', 2], ['', 'ab', 2], ['HOME', 'HOST', 2], ['abcd', 'badc', 2]
  ] as const) {
    t.equal(editDistance(a, b, 2), distance, `${a} → ${b}`)
    t.equal(editDistance(b, a, 2), distance, `${b} → ${a}`)
  }
  t.equal(editDistance('abc', 'xyz', 2), 3, 'above the limit')
  t.equal(editDistance('a'.repeat(1e6), 'b', 2), 3, 'a long text is not compared')
  t.end()
})
