import { test } from 'tap'
import { readArray, readBytes, readHash, readInteger, readText, readTexts, UnexpectedReply } from '../../src/redis/reply.ts'

test('a reply of the expected type is read', async (t) => {
  t.equal(readText(''), '')
  t.equal(readInteger(-1), -1)
  t.strictSame(readBytes(Buffer.from('a')), Buffer.from('a'))
  t.strictSame(readArray([1, 'a']), [1, 'a'])
  t.strictSame(readTexts(['a', '']), ['a', ''])
  t.strictSame(readHash({ a: '1' }), [['a', '1']])
})

test('a reply of another type is refused', async (t) => {
  for (const [read, replies] of [
    [readText, [1, null, undefined, Buffer.from('a'), ['a']]],
    [readInteger, ['1', null, undefined]],
    [readBytes, ['a', null]],
    [readArray, ['a', null, {}]],
    [readTexts, [[1], 'a', [null]]],
    [readHash, [null, ['a'], 'a', 1]]
  ] as const) {
    for (const reply of replies) t.throws(() => { read(reply) }, UnexpectedReply, `${read.name} ${JSON.stringify(reply)}`)
  }
})
