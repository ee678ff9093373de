import { test } from 'tap'
import { CLOSE_CODES, CLOSE_TEXTS, type CloseReason, nextStep } from '../../src/protocol/close-codes.ts'
import { isDeeperThan } from '../../src/protocol/depth.ts'
import { type Content, encodeContent, encodeHistoryMessage, messagePrefix } from '../../src/protocol/message.ts'
import {
  ALL_ROOM, isAutomatic, isOrigin, isRoomName, isUser, ROOM_OR_ALIAS_PATTERN, roomLabel, USER_ALIAS, userRoom
} from '../../src/protocol/names.ts'

/** What a reader of the JSON finds in an encoded content. */
function read (from: string, content: Content): unknown {
  return JSON.parse(`{${encodeContent(from, content).fields.toString()}}`)
}

test('content is encoded as JSON members, the event only where there is one', async (t) => {
  t.strictSame(read('ada', { text: 'hi' }), { from: 'ada', text: 'hi' })
  t.strictSame(read('ada', { text: '', event: 'e' }), { from: 'ada', event: 'e', text: '' })
  t.strictSame(read('ada', { data: { a: [1, null] }, event: 'e' }), { from: 'ada', event: 'e', data: { a: [1, null] } })
  t.strictSame(read('ada', { bytes: Buffer.from('x'), event: 'e' }), { from: 'ada', event: 'e' })
  t.equal(encodeContent('ada', { text: 'hi' }).bytes, undefined)
})

test('nothing in a text, a name or an event gets out of its string', async (t) => {
  for (const text of [
    '"', '\\', '","from":"eve', '"}', '\u0000\n\r\t\u2028\u2029', 'grüße 👋', '</script>', '\ud800', 'a\udc00b', '\udc00\ud800', '{"a":1}'
  ]) {
    t.strictSame(read(text, { text, event: text }), { from: text, event: text, text }, escape(text))
    t.strictSame(read('ada', { data: { [text]: text } }), { from: 'ada', data: { [text]: text } })
  }
})

test('lone surrogates are escaped, so that the bytes are valid UTF-8', async (t) => {
  const { fields } = encodeContent('ada', { text: '\ud83d' })
  t.equal(fields.toString(), '"from":"ada","text":"\\ud83d"')
  t.notOk(fields.includes(Buffer.from('\ufffd')))
})

test('data with the names of the object prototype stays plain data', async (t) => {
  const json = '{"__proto__":{"polluted":true},"constructor":{"prototype":1},"toString":null}'
  const { fields } = encodeContent('ada', { data: JSON.parse(json) as unknown })
  t.equal(fields.toString(), `"from":"ada","data":${json}`)
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
})

test('data is always JSON, also where a caller has none', async (t) => {
  for (const data of [null, 0, false, '', [], {}]) t.strictSame(read('ada', { data }), { from: 'ada', data })
  for (const data of [undefined, { toJSON: () => undefined }, NaN]) t.strictSame(read('ada', { data }), { from: 'ada', data: null })
  t.throws(() => encodeContent('ada', { data: 1n }), TypeError)
})

test('bytes are a copy: what came in may be used again', async (t) => {
  const read = Buffer.alloc(100_000, 'abcdef')
  const { bytes } = encodeContent('ada', { bytes: read.subarray(1, 3) })
  read.fill(0)
  t.equal(bytes?.toString(), 'bc')
  t.not(bytes?.buffer, read.buffer, 'and is not kept alive')
})

test('what stands before the content is ASCII, and ends where the content begins', async (t) => {
  for (const placed of [{ time: 5 }, { time: 5, offset: 0 }, { time: 1_900_000_000_000, offset: Number.MAX_SAFE_INTEGER }]) {
    for (const label of ['lobby', USER_ALIAS, ALL_ROOM]) {
      const prefix = messagePrefix(label, placed)
      t.equal(Buffer.byteLength(prefix), prefix.length)
      t.strictSame(JSON.parse(`${prefix}"from":"ada"}`), { type: 'message', room: label, ...placed, from: 'ada' })
    }
  }
})

test('a message of history is JSON, with the bytes of a binary one as base64', async (t) => {
  const text = encodeContent('ada', { text: 'grüße 👋' })
  t.strictSame(JSON.parse(encodeHistoryMessage('lobby', { ...text, offset: 3, time: 5 })), {
    type: 'message', room: 'lobby', offset: 3, time: 5, from: 'ada', text: 'grüße 👋'
  })
  for (const bytes of [Buffer.alloc(0), Buffer.from([0, 255, 254, 62, 63]), Buffer.alloc(100_000, 1)]) {
    const binary = encodeContent('ada', { bytes })
    const { base64, ...rest } = JSON.parse(encodeHistoryMessage('lobby', { ...binary, offset: 3, time: 5 })) as { base64: string }
    t.strictSame(rest, { type: 'message', room: 'lobby', offset: 3, time: 5, from: 'ada' })
    t.ok(Buffer.from(base64, 'base64').equals(bytes))
  }
})

test('depth is how many objects and arrays are around each other', async (t) => {
  const cases: [json: string, depth: number][] = [
    ['1', 0],
    ['"[[["', 0],
    ['null', 0],
    ['[]', 1],
    ['{}', 1],
    ['[[1]]', 2],
    ['{"a":{"b":[]}}', 3],
    ['[1,{"a":1},[[[]]],2]', 4],
    ['{"__proto__":[[]]}', 3]
  ]
  for (const [json, depth] of cases) {
    const value: unknown = JSON.parse(json)
    t.equal(isDeeperThan(value, depth), false, `${json} is not deeper than ${depth}`)
    if (depth > 0) t.equal(isDeeperThan(value, depth - 1), true, `${json} is deeper than ${depth - 1}`)
  }
  let deep: unknown = []
  for (let i = 0; i < 1_000_000; i++) deep = [deep]
  t.equal(isDeeperThan(deep, 32), true, 'it does not look deeper than it has to')
})

test('a room name is 1–128 characters of a few, and does not start with @', async (t) => {
  for (const name of ['a', '0', 'lobby', 'Chat:1', 'a@b', 'a.b_c=d|e+f~g-h', '__proto__', '..', '-', 'x'.repeat(128)]) {
    t.ok(isRoomName(name), name.slice(0, 20))
  }
  for (const name of [
    '', '@', '@all', '@user', '@user:ada', 'x'.repeat(129), 'a b', 'a/b', 'a\\b', 'a,b', 'a\n', 'a\u0000', 'ü', '\u202ea', 'a*', '{sub}',
    'a%', 'a"', 'a{}', 7, null, undefined, {}, ['a']
  ]) {
    t.notOk(isRoomName(name), JSON.stringify(name)?.slice(0, 20))
  }
  for (const code of Array.from({ length: 256 }, (_, i) => i)) {
    const character = String.fromCharCode(code)
    const allowed = /[A-Za-z0-9]/.test(character) || '_.:@=|+~-'.includes(character)
    if (isRoomName(`a${character}`) !== allowed) t.fail(`character ${code}`)
  }
})

test('in frames the automatic rooms have names, and only those two', async (t) => {
  const pattern = new RegExp(ROOM_OR_ALIAS_PATTERN, 'u')
  for (const name of ['@user', '@all', 'lobby', 'user', 'x'.repeat(128)]) t.ok(pattern.test(name))
  for (const name of ['@', '@user:ada', '@users', '@al', '@all\n', '@server', 'a\n', 'x'.repeat(129)]) t.notOk(pattern.test(name))
})

test('an origin is 16–64 characters that need no escaping', async (t) => {
  for (const name of ['x'.repeat(16), 'x'.repeat(64), 'abcDEF012_-789xyz']) t.ok(isOrigin(name))
  for (const name of [
    '', 'x'.repeat(15), 'x'.repeat(65), `${'x'.repeat(16)}\n`, `${'x'.repeat(16)}:`, `${'x'.repeat(16)}ü`, 7, null, undefined,
    ['x'.repeat(16)]
  ]) {
    t.notOk(isOrigin(name))
  }
})

test('a user is 1–255 bytes of well-formed text without control characters', async (t) => {
  for (const name of ['a', ' ', '@all', 'auth0|1:2', 'grüße 👋', '__proto__', 'x'.repeat(255), '👋'.repeat(63)]) t.ok(isUser(name))
  for (const name of [
    '', 'x'.repeat(256), '👋'.repeat(64), '\u0000', 'a\n', '\u001f', '\u007f', '\u009f', '\ud83d', 7, null, undefined, {}
  ]) {
    t.notOk(isUser(name))
  }
})

test("everybody knows their own room as @user, and nobody else's by that name", async (t) => {
  t.equal(roomLabel(userRoom('ada')), '@user')
  t.equal(roomLabel(userRoom('')), '@user')
  t.equal(roomLabel(userRoom('a"b:c')), '@user')
  for (const room of ['lobby', '@all', 'user:ada', '@users:ada', 'a@user:b']) t.equal(roomLabel(room), room)
  t.ok(['@all', '@user', userRoom('ada')].every(isAutomatic))
  t.notOk(['lobby', 'a@b', ''].some(isAutomatic))
})

test('close codes are ones that a server may send, each once, with a reason that fits', async (t) => {
  const entries = Object.entries(CLOSE_CODES) as [CloseReason, number][]
  t.equal(new Set(entries.map(([, code]) => code)).size, entries.length)
  for (const [reason, code] of entries) {
    // RFC 6455, sections 5.5 and 7.4: 1005, 1006 and 1015 are never sent; a control frame has 125 bytes, two of them the code.
    t.ok((code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 4000 && code <= 4999), String(code))
    t.ok(Buffer.byteLength(CLOSE_TEXTS[reason]) <= 123)
    t.equal(nextStep(code), code === 1000 || (code >= 4500 && code !== 4509) ? 'stay' : code === 4001 ? 'renew' : 'resume')
  }
})
