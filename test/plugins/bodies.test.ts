import { gzipSync } from 'node:zlib'
import { test } from 'tap'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { FAULTY_JSON, SOUND_JSON } from '../support/json-faults.ts'
import { connect } from '../support/websocket-client.ts'
import { type Answer, ask, isProblem, request, speak } from '../support/http.ts'

const EVERYTHING = makeToken({ rooms: { '**': ['*'], '@all': ['*'], '@user:*': ['*'] } })
const ROUTES = ['/v1/rooms/lobby/messages', '/v1/broadcast', '/v1/users/bea/messages', '/v1/messages']
const [ONE] = ROUTES as [string]

/** Posts bytes as they are. */
async function post (
  t: Parameters<typeof ask>[0],
  service: Service,
  path: string,
  contentType: string | undefined,
  body: string | Buffer
): Promise<Answer> {
  const headers = [`Authorization: Bearer ${EVERYTHING}`, `Content-Length: ${Buffer.byteLength(body)}`]
  if (contentType !== undefined) headers.push(`Content-Type: ${contentType}`)
  return await ask(t, service, Buffer.concat([Buffer.from(request('POST', path, headers)), Buffer.from(body)]))
}

/** A string that, as JSON inside `{"text":…}`, makes a body of so many bytes. */
const textOf = (bytes: number) => 'a'.repeat(bytes - '{"text":""}'.length)

test('a body over the limit is refused, whether it says its length or not', async (t) => {
  const service = await startService(t, { MAX_MESSAGE_BYTES: '1000' })
  for (const path of ROUTES.slice(0, 3)) {
    t.equal((await post(t, service, path, 'application/json', JSON.stringify({ text: textOf(1_000) }))).status, 201, `${path}, 1,000 bytes`)
    isProblem(
      t, await post(t, service, path, 'application/json', JSON.stringify({ text: textOf(1_001) })),
      413, 'message_too_large', `${path}, JSON`
    )
    isProblem(t, await post(t, service, path, 'text/plain', 'é'.repeat(501)), 413, 'message_too_large', `${path}, text`)
    isProblem(t, await post(t, service, path, 'application/octet-stream', Buffer.alloc(1_001)), 413, 'message_too_large', `${path}, bytes`)
  }
  const headers = [`Authorization: Bearer ${EVERYTHING}`, 'Content-Type: application/octet-stream']
  isProblem(
    t, await ask(t, service, request('POST', ONE, [...headers, 'Content-Length: 5368709120'])),
    413, 'message_too_large', 'a declared length of 5 GiB'
  )
  isProblem(
    t, await ask(t, service, request('POST', ONE, [...headers, 'Transfer-Encoding: chunked'], `3e9\r\n${'x'.repeat(0x3e9)}\r\n0\r\n\r\n`)),
    413, 'message_too_large', 'in chunks'
  )
  isProblem(
    t, await ask(t, service, request('POST', ONE, [...headers, 'Content-Length: 99999999999999999999'])),
    400, 'invalid_request', 'a length that is no length'
  )
})

test('a batch may be 16 times as large, each of its messages as large as one', async (t) => {
  const service = await startService(t, { MAX_MESSAGE_BYTES: '1000' })
  const batch = (count: number, text: string) =>
    JSON.stringify({ messages: Array.from({ length: count }, () => ({ room: 'lobby', text })) })
  t.equal((await post(t, service, '/v1/messages', 'application/json', batch(15, 'a'.repeat(1_000)))).status, 201)
  isProblem(t, await post(t, service, '/v1/messages', 'application/json', batch(16, 'a'.repeat(1_000))), 413, 'message_too_large')
  const answer = await post(t, service, '/v1/messages', 'application/json', JSON.stringify({
    messages: [
      { room: 'lobby', text: 'a'.repeat(1_001) },
      { room: 'lobby', text: 'é'.repeat(501) },
      { room: 'lobby', data: ['a'.repeat(997)] },
      { room: 'lobby', base64: Buffer.alloc(1_001).toString('base64') },
      { room: 'lobby', base64: Buffer.alloc(1_000).toString('base64') }
    ]
  }))
  t.equal(answer.status, 207)
  t.match(JSON.parse(answer.body).results, [
    ...Array.from({ length: 4 }, () => ({ error: { status: 413, code: 'message_too_large' } })),
    { room: 'lobby' }
  ])
})

test('with MAX_MESSAGE_BYTES=0 there is no limit', async (t) => {
  const service = await startService(t, { MAX_MESSAGE_BYTES: '0' })
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const text = 'a'.repeat(2 * 1024 * 1024)
  t.equal((await call(service, 'POST', ONE, { body: { text } })).status, 201)
  t.equal((await client.next('message')).text, text)
  t.equal((await call(service, 'POST', '/v1/messages', { body: { messages: [{ room: 'lobby', text }] } })).status, 201)
})

test('a body that would reach for a prototype is refused', async (t) => {
  const service = await startService(t)
  const bodies = [
    '{"__proto__":{"text":"hi"}}',
    '{"text":"hi","__proto__":{"isAdmin":true}}',
    '{"data":{"__proto__":{}}}',
    '{"data":[[{"a":{"__proto__":1}}]]}',
    '{"text":"hi","\\u005f_proto__":{}}',
    '{"data":{"\\u005f\\u005fproto\\u005f\\u005f":{}}}',
    '{"data":{"constructor":{"prototype":{}}}}'
  ]
  for (const path of ROUTES) {
    for (const body of bodies) isProblem(t, await post(t, service, path, 'application/json', body), 400, 'invalid_json', `${path} ${body}`)
  }
  const batch = '{"messages":[{"room":"other","text":"hi","__proto__":{}},{"room":"other","text":"hi"}]}'
  t.match(JSON.parse((await post(t, service, '/v1/messages', 'application/json', batch)).body).results, [
    { error: { status: 400, code: 'invalid_json' } }, { offset: 1 }
  ], 'an item of a batch is refused alone')
  const data = { constructor: 1, toString: 'x', hasOwnProperty: null, valueOf: [], prototype: { a: 1 } }
  t.equal((await call(service, 'POST', ONE, { body: { data } })).status, 201, 'other names are plain data')
  t.strictSame((await call(service, 'GET', ONE)).body.messages[0].data, data)
  const text = '{"__proto__":1}'
  t.equal((await call(service, 'POST', ONE, { body: { text } })).status, 201, 'and so is a text about it')
})

test('JSON that not every reader can read is refused over REST as in frames, and an item of a batch alone', async (t) => {
  const service = await startService(t)
  for (const value of FAULTY_JSON) {
    for (const path of ROUTES.slice(0, 3)) {
      const answer = await post(t, service, path, 'application/json', `{"data":${value}}`)
      isProblem(t, answer, 400, 'invalid_json', `${path} ${value.slice(0, 30)}`)
    }
    const body = `{"messages":[{"room":"lobby","text":"hi"},{"room":"lobby","data":${value}}]}`
    const { status, body: answer } = await post(t, service, '/v1/messages', 'application/json', body)
    t.equal(status, 207, value.slice(0, 30))
    t.match(JSON.parse(answer).results, [{ room: 'lobby' }, { error: { code: 'invalid_json' } }])
  }
  for (const body of ['{"text":"\\ud83d"}', '{"text":"hi","event":"\\udc4b"}', '{"text":"hi","ignored":["\\udc4b"]}']) {
    isProblem(t, await post(t, service, ONE, 'application/json', body), 400, 'invalid_json', body)
  }
  const item = '{"messages":[{"room":"lobby","text":"hi","key":"\\ud83d"}]}'
  const { body: refusal } = await post(t, service, '/v1/messages', 'application/json', item)
  t.match(JSON.parse(refusal).results, [{ error: { code: 'invalid_json' } }])
  const beside = await post(t, service, '/v1/messages', 'application/json', '{"messages":[1],"x":1e309}')
  isProblem(t, beside, 400, 'invalid_json', 'beside the items')
  for (const value of SOUND_JSON) {
    t.equal((await post(t, service, ONE, 'application/json', `{"data":${value}}`)).status, 201, value)
    const { messages: [message] } = (await call(service, 'GET', `${ONE}?limit=1`)).body
    t.equal(JSON.stringify(message.data), JSON.stringify(JSON.parse(value)), value)
  }
  for (const query of ['after=1e309', 'before=1e400', 'limit=1e309', `after=${'9'.repeat(400)}`]) {
    isProblem(t, await call(service, 'GET', `${ONE}?${query}`), 400, 'invalid_request', query.slice(0, 20))
  }
})

test('a body that is compressed is refused on every route, and nothing of it is published', async (t) => {
  const service = await startService(t)
  const authorization = `Authorization: Bearer ${EVERYTHING}`
  const body = '{"text":"hi","messages":[{"room":"lobby","text":"hi"}]}'
  const common = [authorization, 'Content-Type: application/json', `Content-Length: ${body.length}`]
  const send = async (path: string, headers: string[], method = 'POST'): Promise<Answer> =>
    await ask(t, service, request(method, path, [...common, ...headers], body))
  for (const path of ROUTES) {
    for (const coding of ['gzip', 'GZIP', 'br', 'deflate', 'unknown', 'identity, gzip', '']) {
      isProblem(t, await send(path, [`Content-Encoding: ${coding}`]), 415, 'unsupported_media_type', `${path} ${coding}`)
    }
    const two = await send(path, ['Content-Encoding: identity', 'Content-Encoding: br'])
    isProblem(t, two, 415, 'unsupported_media_type', `${path} two headers`)
    for (const coding of ['identity', 'Identity']) {
      t.equal((await send(path, [`Content-Encoding: ${coding}`])).status, 201, `${path} ${coding}`)
    }
    for (const coding of ['gzip, chunked', 'gzip,Chunked']) {
      const headers = [authorization, 'Content-Type: application/octet-stream', `Transfer-Encoding: ${coding}`]
      const answer = await ask(t, service, request('POST', path, headers, '2\r\nhi\r\n0\r\n\r\n'))
      isProblem(t, answer, 415, 'unsupported_media_type', `${path} ${coding}`)
    }
  }
  const before = (await call(service, 'GET', '/v1/rooms/lobby')).body.offset
  isProblem(t, await send(ONE, ['Content-Encoding: gzip'], 'DELETE'), 415, 'unsupported_media_type', 'DELETE')
  isProblem(t, await send('/v1/rooms', ['Content-Encoding: gzip'], 'GET'), 415, 'unsupported_media_type', 'GET with a body')
  t.equal((await call(service, 'GET', '/v1/rooms', { headers: { 'content-encoding': 'gzip' } })).status, 200, 'GET without a body')
  t.equal((await call(service, 'GET', '/v1/rooms/lobby')).body.offset, before)
  const anonymous = ['Content-Type: text/plain', 'Content-Encoding: gzip', 'Content-Length: 2']
  isProblem(t, await ask(t, service, request('POST', ONE, anonymous, 'hi')), 401, 'unauthorized', 'the token comes first')
})

test('a text in another charset is refused, and bytes have none', async (t) => {
  const service = await startService(t)
  const body = '{"text":"hi","messages":[{"room":"lobby","text":"hi"}]}'
  for (const charset of ['iso-8859-1', 'utf-16le', 'UTF-16', 'us-ascii', '"latin1"', '', 'utf-8; charset=utf-16']) {
    for (const path of ROUTES) {
      const answer = await post(t, service, path, `application/json; charset=${charset}`, body)
      isProblem(t, answer, 415, 'unsupported_media_type', `${path} ${charset}`)
    }
    isProblem(t, await post(t, service, ONE, `text/plain; charset=${charset}`, 'hi'), 415, 'unsupported_media_type', charset)
    t.equal((await post(t, service, ONE, `application/octet-stream; charset=${charset}`, 'hi')).status, 201, charset)
  }
  t.equal((await post(t, service, ONE, 'text/plain; x="; charset=latin1"; charset="UTF-8"', 'hi')).status, 201)
  const two = await post(t, service, ONE, 'text/plain\r\ncontent-type: application/octet-stream', 'hi')
  isProblem(t, two, 415, 'unsupported_media_type', 'two types')
})

test('JSON that is nested more than 32 deep is refused, however deep', async (t) => {
  const service = await startService(t)
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
  const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  for (const path of ROUTES.slice(0, 3)) {
    for (const data of [nested(32), objects(32)]) {
      t.equal((await post(t, service, path, 'application/json', `{"data":${data}}`)).status, 201, `${path}, 32`)
    }
    for (const depth of [33, 1_000, 10_000, 30_000]) {
      isProblem(t, await post(t, service, path, 'application/json', `{"data":${nested(depth)}}`), 400, 'too_deep', `${path}, ${depth}`)
    }
    isProblem(t, await post(t, service, path, 'application/json', `{"data":${objects(10_000)}}`), 400, 'too_deep', `${path}, objects`)
    isProblem(t, await post(t, service, path, 'application/json', nested(30_000)), 400, 'invalid_request', `${path}, the body itself`)
    isProblem(
      t, await post(t, service, path, 'application/json', `{"text":${nested(30_000)}}`),
      400, 'invalid_request', `${path}, where a text should be`
    )
    isProblem(t, await post(t, service, path, 'application/json', '['.repeat(60_000)), 400, 'invalid_json', `${path}, not closed`)
  }
  t.equal(
    (await post(t, service, ONE, 'application/json', `{"text":"hi","other":${nested(30_000)}}`)).status,
    201,
    'what is ignored may be as it likes'
  )

  const items = [
    `{"room":"lobby","data":${nested(400_000)}}`,
    `{"room":${nested(1_000)}}`,
    `{"room":"lobby","text":"hi","other":${nested(10_000)}}`,
    nested(10_000)
  ]
  const batch = await post(t, service, '/v1/messages', 'application/json', `{"messages":[${items.join(',')}]}`)
  t.equal(batch.status, 207)
  t.match(JSON.parse(batch.body).results, [
    { error: { code: 'too_deep', status: 400 } },
    { error: { code: 'invalid_request', status: 400 } },
    { room: 'lobby' },
    { error: { code: 'invalid_request', status: 400 } }
  ])
  t.match(JSON.parse((await post(t, service, '/v1/messages', 'application/json', `{"messages":${nested(400_000)}}`)).body), {
    results: [{ error: { code: 'invalid_request', status: 400 } }]
  })
})

test('content types other than JSON, text and bytes are refused', async (t) => {
  const service = await startService(t)
  const others = [
    'application/xml', 'text/html', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded', 'application/jsonp',
    'application/json5', 'application/vnd.api+json', 'image/png', '*/*', 'json', 'application/', '/json', 'application/json/x',
    'application/json, text/plain', 'text', 'x'.repeat(5_000), ';', 'undefined', 'application/jsoné', 'a application/json'
  ]
  for (const path of ROUTES) {
    for (const contentType of [...others, '', undefined]) {
      isProblem(
        t, await post(t, service, path, contentType, '{"text":"hi"}'),
        415, 'unsupported_media_type', `${path} ${String(contentType).slice(0, 30)}`
      )
    }
  }
})

test('a content type may be written in any way, and its body is looked at all the same', async (t) => {
  const service = await startService(t)
  const spellings = [
    'application/json', 'application/json; charset=utf-8', 'application/json;charset=UTF-8', 'APPLICATION/JSON',
    'Application/Json; Charset="utf-8"', 'application/json;', 'application/json ; x=y', 'application/json\t;x', ' application/json ',
    'application/json;;;', 'application/json; x="\\""'
  ]
  for (const contentType of spellings) {
    t.equal((await post(t, service, ONE, contentType, '{"text":"hi"}')).status, 201, contentType)
    isProblem(
      t, await post(t, service, ONE, contentType, '{"text":5}'),
      400, 'invalid_request', `${contentType}, a number where a text should be`
    )
    isProblem(t, await post(t, service, ONE, contentType, '[]'), 400, 'invalid_request', `${contentType}, a list`)
    isProblem(t, await post(t, service, ONE, contentType, 'null'), 400, 'invalid_request', `${contentType}, null`)
  }
  for (const contentType of ['text/plain', 'TEXT/PLAIN; charset=utf-8', 'text/plain;format=flowed']) {
    t.equal((await post(t, service, ONE, contentType, 'hi')).status, 201, contentType)
  }
})

test('a batch is JSON alone', async (t) => {
  const service = await startService(t)
  for (const contentType of ['text/plain', 'application/octet-stream']) {
    isProblem(
      t, await post(t, service, '/v1/messages', contentType, '{"messages":[{"room":"lobby","text":"hi"}]}'),
      400, 'invalid_request', contentType
    )
  }
})

test('text that is not UTF-8 is refused, and bytes are taken as they are', async (t) => {
  const service = await startService(t)
  const broken: Record<string, Buffer> = {
    'a lone continuation': Buffer.from([0x80]),
    'half a character': Buffer.from([0xc3]),
    'an overlong slash': Buffer.from([0xc0, 0xaf]),
    'a surrogate': Buffer.from([0xed, 0xa0, 0x80]),
    'above Unicode': Buffer.from([0xf5, 0x80, 0x80, 0x80]),
    'Latin 1': Buffer.from('Grüße', 'latin1'),
    'something compressed': gzipSync('{"text":"hi"}')
  }
  for (const [name, bytes] of Object.entries(broken)) {
    isProblem(t, await post(t, service, ONE, 'text/plain', bytes), 400, 'invalid_request', `${name}, text`)
    isProblem(
      t, await post(t, service, ONE, 'application/json', Buffer.concat([Buffer.from('{"text":"'), bytes, Buffer.from('"}')])),
      400, 'invalid_request', `${name}, JSON`
    )
    t.equal((await post(t, service, ONE, 'application/octet-stream', bytes)).status, 201, `${name}, bytes`)
    t.equal((await call(service, 'GET', `${ONE}?limit=1`)).body.messages[0].base64, bytes.toString('base64'))
  }
  for (const text of ['Grüße, 世界 👋', '\u0000\u001f\u007f', '\u202e', '\ufeffx', '"\\/\b', '\u2028\u2029']) {
    t.equal((await post(t, service, ONE, 'text/plain; charset=utf-8', text)).status, 201)
    t.equal((await call(service, 'GET', `${ONE}?limit=1`)).body.messages[0].text, text, encodeURIComponent(text))
  }
  isProblem(t, await post(t, service, ONE, 'application/json', Buffer.from('{"text":"hi"}', 'utf16le')), 400, 'invalid_json', 'UTF-16')
  t.equal((await post(t, service, ONE, 'application/json', '\ufeff{"text":"with a byte order mark"}')).status, 201)
})

test('a body that is empty or broken off is no message', async (t) => {
  const service = await startService(t)
  for (const path of ROUTES) {
    isProblem(t, await post(t, service, path, undefined, ''), 400, 'invalid_request', `${path}, nothing`)
    isProblem(t, await post(t, service, path, 'application/json', ''), 400, 'invalid_json', `${path}, empty`)
    for (const body of [
      ' ', '{', '{"text":"hi"', '{"text":"hi"}}', 'undefined', "{'text':'hi'}", '{"text":"hi",}', 'NaN', '{"text":"\n"}', '\u0000'
    ]) {
      isProblem(t, await post(t, service, path, 'application/json', body), 400, 'invalid_json', `${path} ${body}`)
    }
    for (const body of ['null', 'true', '7', '"hi"', '[]', '{}', '[{"text":"hi"}]']) {
      isProblem(t, await post(t, service, path, 'application/json', body), 400, 'invalid_request', `${path} ${body}`)
    }
  }
})

test('a message is exactly one of text and data, of the right kind, with a good event and exclude', async (t) => {
  const service = await startService(t)
  const refused = [
    { text: 'hi', data: 1 },
    { text: 'hi', data: null },
    { text: null },
    { text: 1 },
    { text: ['hi'] },
    { event: 'x' },
    { text: 'hi', event: '' },
    { text: 'hi', event: 7 },
    { text: 'hi', event: 'a'.repeat(129) },
    { text: 'hi', event: 'a\nb' },
    { text: 'hi', event: null },
    { text: 'hi', exclude: 'short' },
    { text: 'hi', exclude: 'a'.repeat(65) },
    { text: 'hi', exclude: 'with a space in it' },
    { text: 'hi', exclude: null },
    { text: 'hi', exclude: 7 },
    { binary: 5 },
    { base64: 'aGk=' }
  ]
  for (const body of refused) {
    isProblem(t, await call(service, 'POST', ONE, { body }), 400, 'invalid_request', JSON.stringify(body).slice(0, 60))
  }
  for (const data of [null, false, 0, '', [], {}, 'text', { text: 'x' }, -1.5e-7]) {
    t.equal((await call(service, 'POST', ONE, { body: { data } })).status, 201)
    t.strictSame((await call(service, 'GET', `${ONE}?limit=1`)).body.messages[0].data, data, JSON.stringify(data))
  }
  for (const query of [
    'event=', `event=${'a'.repeat(129)}`, 'event=a%0Ab', 'event=a&event=b', 'exclude=short',
    'exclude=aaaaaaaaaaaaaaaa&exclude=bbbbbbbbbbbbbbbb', 'event=%ff', 'event=%ED%A0%80', 'event=100%', 'event=a&other=%zz'
  ]) {
    isProblem(t, await post(t, service, `${ONE}?${query}`, 'text/plain', 'hi'), 400, 'invalid_request', query.slice(0, 30))
  }
})

test('a body may come in chunks without a length, and at its own pace', async (t) => {
  const service = await startService(t)
  const headers = [`Authorization: Bearer ${makeToken()}`, 'Content-Type: application/json', 'Transfer-Encoding: chunked']
  const answer = await ask(t, service, request('POST', ONE, headers, '5\r\n{"tex\r\n8;extension=x\r\nt":"hi"}\r\n0\r\nTrailer: x\r\n\r\n'))
  t.equal(answer.status, 201)
  const { answers: [continued] } = await speak(
    t, service,
    request('POST', ONE, [headers[0] as string, 'Content-Type: text/plain', 'Content-Length: 2', 'Expect: 100-continue'], 'hi')
  )
  t.equal(continued?.status, 201, 'Expect: 100-continue')
  const { answers: [expecting] } = await speak(
    t, service,
    request('POST', ONE, [headers[0] as string, 'Content-Type: text/plain', 'Content-Length: 2', 'Expect: the-unexpected'], 'hi')
  )
  t.equal(expecting?.status, 201, 'another expectation is ignored')
})

test('a client that goes away in the middle of its body does no harm', async (t) => {
  const service = await startService(t)
  const { answers, socket } = await speak(
    t, service,
    request('POST', ONE, [`Authorization: Bearer ${makeToken()}`, 'Content-Type: application/json', 'Content-Length: 1000'], '{"te'),
    { count: 0 }
  )
  t.equal(answers.length, 0)
  socket.resetAndDestroy()
  t.equal((await call(service, 'POST', ONE, { body: { text: 'hi' } })).body.offset, 1)
  t.notOk(service.log.some((line) => JSON.parse(line).level >= 40))
})

test('a body on a request that takes none is not looked at', async (t) => {
  const service = await startService(t)
  const headers = [`Authorization: Bearer ${EVERYTHING}`, 'Content-Type: application/json', 'Content-Length: 5']
  t.equal((await ask(t, service, request('GET', '/v1/rooms', headers, '{"a":'))).status, 200)
})
