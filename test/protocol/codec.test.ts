import { test, type Test } from 'tap'
import { decodeFrame, encodeFrame, type Refused } from '../../src/protocol/codec.ts'
import { MAX_JSON_DEPTH } from '../../src/protocol/depth.ts'
import { FAULTY_JSON, SOUND_JSON } from '../support/json-faults.ts'

function refused (json: string | object): Refused {
  const decoded = decodeFrame(typeof json === 'string' ? json : JSON.stringify(json))
  if (decoded.ok) throw new Error(`was not refused: ${JSON.stringify(json).slice(0, 100)}`)
  return decoded
}

function accepts (t: Test, frame: object): void {
  t.strictSame(decodeFrame(JSON.stringify(frame)), { ok: true, frame }, JSON.stringify(frame).slice(0, 100))
}

/** JSON that is nested so deep, with an empty array in the middle. */
function nested (depth: number, open = '[', close = ']'): string {
  return `${open.repeat(depth - 1)}[]${close.repeat(depth - 1)}`
}

test('frames of the protocol are taken as they are', async (t) => {
  const position = Number.MAX_SAFE_INTEGER
  const frames = [
    { type: 'join', room: 'lobby' },
    { type: 'join', room: '@user', id: 'a' },
    { type: 'leave', room: 'a:b.c=d|e+f~g-h_i@j', id: 0 },
    { type: 'chat', text: '' },
    { type: 'chat', text: 'hi', room: '@all', id: 'x'.repeat(128) },
    { type: 'publish' },
    { type: 'publish', data: null },
    { type: 'publish', data: { a: [1, 'ü', null, true] }, room: 'lobby', event: 'e', key: 'k', echo: false, id: position },
    { type: 'publish', binary: 0, event: 'x'.repeat(128), key: 'x'.repeat(255), echo: true },
    { type: 'history', room: 'lobby', id: 1 },
    { type: 'history', room: 'lobby', after: 0, before: position, epoch: 'e', limit: 1, id: 'h' },
    { type: 'ping' },
    { type: 'ping', id: 1 }
  ]
  for (const frame of frames) accepts(t, frame)
})

test('unknown properties are ignored, whatever they are called', async (t) => {
  accepts(t, { type: 'ping', extra: { a: 1 }, text: 7, room: 7 })
  const decoded = decodeFrame(
    '{"type":"publish","data":{"prototype":{"polluted":true},"constructor":1},"toString":1,"prototype":{"echo":false}}'
  )
  t.ok(decoded.ok)
  if (decoded.ok && decoded.frame.type === 'publish') {
    t.equal(decoded.frame.echo, undefined)
    t.equal(JSON.stringify(decoded.frame.data), '{"prototype":{"polluted":true},"constructor":1}')
  }
})

test('a frame with JSON that not every reader can read is refused, with its id', async (t) => {
  for (const value of FAULTY_JSON) {
    for (const json of [`{"type":"publish","id":7,"data":${value}}`, `{"id":7,"type":"chat","text":"hi","ignored":[[${value}]]}`]) {
      const { code, id, malformed, text } = refused(json)
      t.strictSame({ code, id, malformed }, { code: 'invalid_json', id: 7, malformed: false }, json)
      t.match(text, /^Invalid JSON: A (member|number|text) /)
    }
  }
  for (const value of SOUND_JSON) t.ok(decodeFrame(`{"type":"publish","data":${value}}`).ok, value)
  for (const frame of [
    '{"type":"chat","text":"\\ud83d"}', '{"type":"publish","data":1,"event":"\\udc4b"}', '{"type":"publish","data":1,"key":"\\ud83dx"}',
    '{"type":"ping","id":"\\udc4b\\ud83d"}', '{"type":"publish","binary":5,"event":"\\ud83d"}'
  ]) {
    t.equal(refused(frame).code, 'invalid_json', frame)
  }
  t.ok(refused('{"type":"publish","binary":5,"event":"\\ud83d"}').announcesBinary, 'its binary frame is dropped')
})

test('a byte order mark before a frame is ignored', async (t) => {
  t.ok(decodeFrame('\ufeff{"type":"ping"}').ok)
  t.equal(refused('\ufeff\ufeff{"type":"ping"}').code, 'invalid_json', 'only one')
})

test('what is not JSON is refused as such', async (t) => {
  for (const json of [
    '', ' ', 'hi', '{', '{"type":"ping"', "{'type':'ping'}", '{"type":"ping"}}', '{"type":"ping",}', 'undefined', 'NaN', '\u0000', '[', '"',
    '{"type":"ping"}\u0000'
  ]) {
    t.strictSame(
      refused(json),
      { ok: false, code: 'invalid_json', text: 'Invalid JSON', id: undefined, malformed: true, announcesBinary: false },
      JSON.stringify(json)
    )
  }
})

test('JSON that is not an object is refused and counts as malformed', async (t) => {
  for (const json of ['null', 'true', '7', '"join"', '[]', '[{"type":"ping"}]']) {
    t.match(refused(json), { code: 'invalid_frame', text: 'A frame is a JSON object', malformed: true, announcesBinary: false }, json)
  }
  for (const json of ['{}', '{"type":7}', '{"type":"nope"}', '{"type":"join"}']) {
    t.equal(refused(json).malformed, false, `${json} is an object`)
  }
})

test('a frame needs a type that is a string', async (t) => {
  for (const type of [undefined, null, 7, true, ['join'], { join: 1 }]) {
    t.match(refused({ type }), { code: 'invalid_frame', text: 'A frame needs a "type"' })
  }
})

test('an unknown type is named, within bounds', async (t) => {
  for (const type of ['nope', '', 'Join', 'join ', 'message', 'welcome', '__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    t.match(refused({ type, id: 5 }), { code: 'unknown_type', text: `Unknown frame type ${JSON.stringify(type)}`, id: 5 })
  }
  const { text } = refused({ type: `"\n${'👋'.repeat(1_000)}` })
  t.ok(text.length < 200)
  t.notOk(text.includes('\n'))
  t.ok(text.isWellFormed())
})

test('a name that cannot be a room is refused with the rule', async (t) => {
  const names = [
    '', ' ', 'a b', 'a/b', '@', '@server', '@user:ada', '@users', '@all ', 'ü', 'x'.repeat(129), 'lobby\n', '\nlobby', 'a\u0000',
    '\u202elobby', 'a%2Fb', 'a,b', '{sub}', 'chat:*'
  ]
  for (const room of names) {
    for (const frame of [
      { type: 'join', room },
      { type: 'leave', room },
      { type: 'chat', text: 'a', room },
      { type: 'publish', data: 1, room },
      { type: 'history', room, id: 1 }
    ]) {
      const { code, text } = refused(frame)
      if (code !== 'invalid_room' || !text.startsWith('Room names are')) t.fail(`${JSON.stringify(frame)} is refused with ${code}: ${text}`)
    }
  }
  for (const room of [7, null, true, ['lobby'], { a: 1 }]) t.equal(refused({ type: 'join', room }).code, 'invalid_room')
  for (const room of ['a', 'x'.repeat(128), 'a@b', '__proto__', 'constructor', '-', '.']) accepts(t, { type: 'join', room })
})

test('a missing or wrong property is refused and named', async (t) => {
  const tooBig = Number.MAX_SAFE_INTEGER + 1
  const cases: [frame: object, says: RegExp][] = [
    [{ type: 'join' }, /^Invalid join frame: .*room/],
    [{ type: 'leave' }, /^Invalid leave frame: .*room/],
    [{ type: 'chat' }, /^Invalid chat frame: .*text/],
    ...[7, null, true, ['a'], {}].map((text): [object, RegExp] => [{ type: 'chat', text }, /^Invalid chat frame: "text" /]),
    ...['', 'x'.repeat(129), 'a\nb', 'a\u0000', '\u007f', 7, null].map((event): [object, RegExp] => [
      { type: 'publish', data: 1, event },
      /"event" /
    ]),
    ...['', 'x'.repeat(256), 'a\tb', 7, null, {}].map((key): [object, RegExp] => [{ type: 'publish', data: 1, key }, /"key" /]),
    ...['false', 0, null].map((echo): [object, RegExp] => [{ type: 'publish', data: 1, echo }, /"echo" /]),
    ...[-1, 1.5, '5', null, tooBig, 1e300].map((binary): [object, RegExp] => [{ type: 'publish', binary }, /"binary" /]),
    [{ type: 'history', room: 'a' }, /^Invalid history frame: .*id/],
    ...[-1, 1.5, '5', null, tooBig].flatMap((offset): [object, RegExp][] => [
      [{ type: 'history', room: 'a', id: 1, after: offset }, /"after" /],
      [{ type: 'history', room: 'a', id: 1, before: offset }, /"before" /]
    ]),
    ...['', 'x'.repeat(33), 7, null].map((epoch): [object, RegExp] => [{ type: 'history', room: 'a', id: 1, epoch }, /"epoch" /]),
    ...[0, -1, 1.5, '5', null].map((limit): [object, RegExp] => [{ type: 'history', room: 'a', id: 1, limit }, /"limit" /]),
    ...['', 'x'.repeat(129), -1, 1.5, tooBig, null, true, {}, [1]].map((id): [object, RegExp] => [
      { type: 'ping', id },
      /^Invalid ping frame: "id" /
    ])
  ]
  for (const [frame, says] of cases) {
    t.match(refused(frame), { code: 'invalid_frame', text: says, malformed: false }, JSON.stringify(frame).slice(0, 80))
  }
})

test('a refusal echoes an id that is valid, and no other', async (t) => {
  for (const id of ['a', 'x'.repeat(128), 0, 7, Number.MAX_SAFE_INTEGER]) {
    t.equal(refused({ type: 'join', room: '', id }).id, id)
    t.equal(refused({ type: 'nope', id }).id, id)
    t.equal(refused({ id }).id, id)
    t.equal(refused(`{"id":${JSON.stringify(id)},"type":"publish","data":${nested(100)}}`).id, id)
  }
  for (const id of ['', 'x'.repeat(129), -1, 1.5, Number.MAX_SAFE_INTEGER + 1, null, true, {}, ['a']]) {
    t.equal(refused({ type: 'nope', id }).id, undefined)
  }
  t.equal(refused('{"type":"nope","id":1e400}').id, undefined)
})

test('a refused publish says whether its payload will follow', async (t) => {
  for (const frame of [{ binary: 5, room: '@server' }, { binary: 0, event: '' }, { binary: 5, key: 7 }, { binary: 5, id: null }]) {
    t.equal(refused({ type: 'publish', ...frame }).announcesBinary, true)
  }
  t.equal(refused(`{"type":"publish","binary":5,"data":${nested(100)}}`).announcesBinary, true)
  for (const binary of [-1, 1.5, '5', null, undefined, [5]]) t.equal(refused({ type: 'publish', room: '', binary }).announcesBinary, false)
  t.equal(refused({ type: 'chat', binary: 5 }).announcesBinary, false, 'only a publish')
  t.equal(refused({ type: 'publis', binary: 5 }).announcesBinary, false)
})

test('data may be nested 32 deep, and not 33', async (t) => {
  for (const [open, close] of [['[', ']'], ['{"a":', '}'], ['[1,', ']'], ['{"prototype":', '}']] as const) {
    t.ok(decodeFrame(`{"type":"publish","data":${nested(MAX_JSON_DEPTH, open, close)}}`).ok, `${open} as deep as allowed`)
    const { code, text, malformed } = refused(`{"type":"publish","data":${nested(MAX_JSON_DEPTH + 1, open, close)},"id":1}`)
    t.strictSame({ code, malformed }, { code: 'too_deep', malformed: false }, `${open} one deeper`)
    t.match(text, /32/)
  }
  t.equal(refused(`{"type":"ping","extra":${nested(MAX_JSON_DEPTH + 1)}}`).code, 'too_deep', 'ignored properties, too')
})

test('JSON that is nested absurdly deep is refused like any other', async (t) => {
  for (const depth of [8_000, 32_000]) {
    t.equal(refused(`{"type":"publish","data":${nested(depth)}}`).code, 'too_deep')
    t.match(refused(nested(depth)), { code: 'too_deep', malformed: true })
    t.ok(['too_deep', 'invalid_json'].includes(refused(`{"type":"publish","data":${nested(depth, '{"a":', '}')}}`).code))
    t.equal(refused('['.repeat(depth)).code, 'invalid_json')
  }
})

test('a wide value is not a deep one', async (t) => {
  accepts(t, { type: 'publish', data: Array.from({ length: 10_000 }, () => [[]]) })
})

test('a frame of the server is JSON without what is undefined', async (t) => {
  t.equal(encodeFrame({ type: 'pong', id: undefined }), '{"type":"pong"}')
  t.equal(
    encodeFrame({ type: 'ack', id: 'a"\n', room: 'lobby', epoch: 'e', offset: 1 }),
    '{"type":"ack","id":"a\\"\\n","room":"lobby","epoch":"e","offset":1}'
  )
})
