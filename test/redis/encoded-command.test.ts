import { test } from 'tap'
import { encodeCommand } from '../../src/redis/encoded-command.ts'

test('a command is an array of bulk strings', async (t) => {
  t.equal(encodeCommand('get', ['key']).toString(), '*2\r\n$3\r\nget\r\n$3\r\nkey\r\n')
  t.equal(encodeCommand('ping', []).toString(), '*1\r\n$4\r\nping\r\n')
  t.equal(
    encodeCommand('set', ['', 1795444589996687, Buffer.alloc(0)]).toString(),
    '*4\r\n$3\r\nset\r\n$0\r\n\r\n$16\r\n1795444589996687\r\n$0\r\n\r\n'
  )
})

test('lengths are bytes, whatever the text', async (t) => {
  for (const text of ['grüße', 'a€', '🎉 at the end 🎉', 'é'.repeat(200), '\uD800', 'ascii first, then ü']) {
    const bytes = Buffer.from(text)
    t.strictSame(
      encodeCommand('set', [text, bytes, 'x']),
      Buffer.concat([
        Buffer.from(`*4\r\n$3\r\nset\r\n$${bytes.length}\r\n`),
        bytes,
        Buffer.from(`\r\n$${bytes.length}\r\n`),
        bytes,
        Buffer.from('\r\n$1\r\nx\r\n')
      ]),
      text.slice(0, 20)
    )
  }
})

test('commands made one after the other do not share memory', async (t) => {
  const expected = (i: number): string => {
    const [key, value] = [`key-${i}`, 'abcdefghij'[i % 10]?.repeat(1_000)]
    return `*3\r\n$3\r\nset\r\n$${key.length}\r\n${key}\r\n$1000\r\n${value}\r\n`
  }
  const made = Array.from({ length: 300 }, (_, i) => encodeCommand('set', [`key-${i}`, Buffer.alloc(1_000, 'abcdefghij'[i % 10])]))
  const large = encodeCommand('set', ['large', Buffer.alloc(100_000, 'L')])
  t.equal(made.every((bytes, i) => bytes.toString() === expected(i)), true)
  t.equal(large.length, 100_000 + '*3\r\n$3\r\nset\r\n$5\r\nlarge\r\n$100000\r\n\r\n'.length)
})
