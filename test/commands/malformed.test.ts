import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'tap'
import type { WebSocket } from 'ws'
import { collectGarbage } from '../support/garbage.ts'
import { type Service, startService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { connect } from '../support/websocket-client.ts'
import { closePayload, encodeWire, jsonWire, OPCODE, RawSocket, type WireFrame } from '../support/raw-socket.ts'

const { text, binary, continuation, close, ping, pong } = OPCODE
const wire = (...frames: WireFrame[]) => Buffer.concat(frames.map(encodeWire))
const bytes = (...values: number[]) => Buffer.from(values)

/** What ends a connection, by the code it is closed with. */
const MALFORMED: Record<number, Record<string, Buffer>> = {
  1002: {
    'an unmasked text frame': wire({ opcode: text, payload: '{}', masked: false }),
    'an unmasked close frame': wire({ opcode: close, payload: closePayload(1000), masked: false }),
    'the first reserved bit, which is permessage-deflate': wire({ opcode: text, payload: '{}', rsv: 4 }),
    'the second reserved bit': wire({ opcode: text, payload: '{}', rsv: 2 }),
    'the third reserved bit': wire({ opcode: text, payload: '{}', rsv: 1 }),
    'a reserved bit on a ping': wire({ opcode: ping, rsv: 4 }),
    'a reserved bit on a continuation': wire({ opcode: text, fin: false, payload: 'a' }, { opcode: continuation, rsv: 4 }),
    'the reserved opcode 3': wire({ opcode: 3, payload: '{}' }),
    'the reserved opcode 7': wire({ opcode: 7 }),
    'the reserved opcode 11': wire({ opcode: 11 }),
    'the reserved opcode 15': wire({ opcode: 15, payload: 'x' }),
    'a continuation of nothing': wire({ opcode: continuation, payload: '{}' }),
    'a text frame inside a fragmented message': wire({ opcode: text, fin: false, payload: '{' }, { opcode: text, payload: '}' }),
    'a binary frame inside a fragmented message': wire({ opcode: text, fin: false, payload: '{' }, { opcode: binary, payload: '}' }),
    'a fragmented ping': wire({ opcode: ping, fin: false }),
    'a fragmented close frame': wire({ opcode: close, fin: false }),
    'a ping of 126 bytes': wire({ opcode: ping, payload: Buffer.alloc(126) }),
    'a pong of 70,000 bytes': wire({ opcode: pong, payload: Buffer.alloc(70_000) }),
    'a close frame of one byte': wire({ opcode: close, payload: bytes(3) }),
    'a close frame of 126 bytes': wire({ opcode: close, payload: closePayload(1000, 'x'.repeat(124)) }),
    ...Object.fromEntries([0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
      .map((code) => [`the close code ${code}`, wire({ opcode: close, payload: closePayload(code) })])),
    'HTTP where frames should be': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    'a TLS handshake where frames should be': bytes(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3)
  },
  1007: {
    'a byte that UTF-8 has not': wire({ opcode: text, payload: bytes(0xff) }),
    'a sequence cut short': wire({ opcode: text, payload: bytes(0x22, 0xe2, 0x82, 0x22) }),
    'an overlong form': wire({ opcode: text, payload: bytes(0x22, 0xc0, 0xaf, 0x22) }),
    'a surrogate': wire({ opcode: text, payload: bytes(0x22, 0xed, 0xa0, 0x80, 0x22) }),
    'more than U+10FFFF': wire({ opcode: text, payload: bytes(0x22, 0xf4, 0x90, 0x80, 0x80, 0x22) }),
    'bad UTF-8 in the second fragment': wire(
      { opcode: text, fin: false, payload: '"' },
      { opcode: continuation, payload: bytes(0x80, 0x22) }
    ),
    'bad UTF-8 in a close reason': wire({ opcode: close, payload: closePayload(1000, bytes(0xff, 0xfe)) })
  },
  1008: {
    '65 fragments': wire(
      { opcode: text, fin: false, payload: ' ' },
      ...Array.from({ length: 63 }, () => ({ opcode: continuation, fin: false, payload: ' ' })),
      { opcode: continuation, payload: '1' }
    ),
    'empty fragments without end': wire(
      { opcode: binary, fin: false },
      ...Array.from({ length: 1_000 }, () => ({ opcode: continuation, fin: false }))
    )
  },
  1009: {
    'one byte over the limit': wire({ opcode: text, payload: Buffer.alloc(65_537, ' ') }),
    'a binary message over the limit': wire({ opcode: binary, payload: Buffer.alloc(65_537) }),
    'a header that declares one byte over the limit': wire({ opcode: text, declared: 65_537 }),
    'a header that declares 5 GiB': wire({ opcode: binary, declared: 5 * 2 ** 30 }),
    'a header that declares more than any number': wire({ opcode: binary, declared: 2n ** 64n - 1n }),
    'fragments that are over the limit together': wire(
      { opcode: text, fin: false, payload: Buffer.alloc(40_000, ' ') },
      { opcode: continuation, payload: Buffer.alloc(40_000, ' ') }
    ),
    'a last fragment that declares too much': wire(
      { opcode: text, fin: false, payload: Buffer.alloc(65_536, ' ') },
      { opcode: continuation, declared: 1 }
    )
  }
}

for (const [code, inputs] of Object.entries(MALFORMED)) {
  test(`what RFC 6455 does not allow ends the connection with ${code}, and nobody else's`, async (t) => {
    const service = await startService(t)
    const bystander = await connect(service, { query: 'room=lobby' })
    await bystander.next('joined')
    for (const [name, input] of Object.entries(inputs)) {
      const raw = await RawSocket.open(service, { query: 'room=lobby' })
      await raw.find(({ type }) => type === 'joined')
      raw.write(input)
      // What comes behind it is not looked at any more.
      raw.write(jsonWire({ type: 'chat', text: 'too late' }))
      t.equal((await raw.closeFrame)?.code, Number(code), name)
      raw.send({ opcode: close, payload: closePayload(Number(code)) })
      raw.socket.end()
      await raw.ended
    }
    await until(() => service.app.roomcast.hub.connections.size === 1, 'the connections to be forgotten')
    t.match(await bystander.ask({ type: 'chat', text: 'still here' }), { type: 'ack', offset: 1 }, 'no late frame was published')
    t.strictSame(service.log.filter((line) => /"level":[56]0/.test(line)), [], 'a client\'s fault is not an error of the service')
  })
}

test('a declared length costs no memory, and what is sent for it is thrown away', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const raws = await Promise.all(Array.from({ length: 50 }, async () => await RawSocket.open(service)))
  const chunk = Buffer.alloc(65_536) // One for all: what the clients have not sent yet costs nothing either.
  collectGarbage()
  const before = process.memoryUsage().arrayBuffers
  await Promise.all(raws.map(async (raw) => {
    raw.send({ opcode: binary, declared: 5 * 2 ** 30 })
    for (let i = 0; i < 16; i++) {
      raw.write(chunk)
      await turn()
    }
    t.equal((await raw.closeFrame)?.code, 1009)
  }))
  // 50 MB if the server kept what it reads. Buffers are freed some time after they were collected.
  await until(() => {
    collectGarbage()
    return process.memoryUsage().arrayBuffers - before < 10 * 2 ** 20
  }, 'the memory to be free again')
  for (const raw of raws) raw.socket.destroy()
})

test('what RFC 6455 allows is taken: fragments, pings between them, empty and full frames', async (t) => {
  const service = await startService(t)
  const raw = await RawSocket.open(service, { query: 'room=lobby' })
  const json = JSON.stringify({ type: 'chat', text: 'ß'.repeat(31) })
  const pieces = Array.from(Buffer.from(json), (byte) => Buffer.from([byte])).slice(0, 63)
  const rest = Buffer.from(json).subarray(63)
  raw.write(
    wire(
      { opcode: text, fin: false, payload: pieces[0] as Buffer },
      { opcode: ping, payload: 'between' },
      ...pieces.slice(1).map((payload) => ({ opcode: continuation, fin: false, payload })),
      { opcode: pong },
      { opcode: continuation, payload: rest }
    )
  )
  t.match(await raw.find(({ type }) => type === 'message'), { text: 'ß'.repeat(31) }, '64 fragments, cut inside characters')
  t.ok(
    raw.received.some(({ opcode, payload }) => opcode === pong && payload.toString() === 'between'),
    'a ping is answered with its payload'
  )

  raw.write(
    wire(
      { opcode: binary, payload: Buffer.alloc(65_536) },
      { opcode: binary, fin: false },
      { opcode: continuation, fin: false },
      { opcode: continuation }
    )
  )
  await raw.find(({ binary }) => binary === 65_536)
  await raw.find(({ binary }) => binary === 0)
  for (const byte of jsonWire({ type: 'chat', text: 'a byte at a time' })) {
    raw.write(bytes(byte))
    await turn()
  }
  await raw.find(({ text }) => text === 'a byte at a time')

  raw.send({ opcode: close, payload: closePayload(4999, 'x'.repeat(123)) })
  t.strictSame(await raw.closeFrame, { code: 4999, reason: 'x'.repeat(123) }, 'a close frame is answered with its code')
  raw.socket.end()
  await until(() => service.app.roomcast.hub.connections.size === 0)
  raw.socket.destroy()
})

test('a large message may come in pieces as small as networks make them', async (t) => {
  const service = await startService(t, { MAX_MESSAGE_BYTES: String(2 ** 21), LOG_LEVEL: 'silent' })
  const raw = await RawSocket.open(service, { query: 'room=lobby' })
  const message = wire({ opcode: binary, payload: Buffer.alloc(2 ** 20, 7) })
  for (let at = 0; at < message.length; at += 536) {
    raw.write(message.subarray(at, at + 536)) // The least that every IPv4 network carries (RFC 9293, section 3.7.1).
    await turn()
  }
  const first = await Promise.race([raw.find(({ type }) => type === 'message'), raw.closeFrame])
  t.match(first, { type: 'message', binary: 2 ** 20 })
  raw.socket.destroy()
})

test('a message in pieces of a byte each is not buffered for ever', async (t) => {
  const service = await startService(t)
  const raw = await RawSocket.open(service)
  raw.write(encodeWire({ opcode: binary, payload: Buffer.alloc(5_000) }).subarray(0, 8))
  for (let i = 0; i < 4_000 && !raw.received.some(({ opcode }) => opcode === close); i++) {
    raw.write(bytes(i & 0xff))
    await turn()
  }
  t.equal((await raw.closeFrame)?.code, 1008)
  raw.socket.destroy()
})

/** A client that answers pings and starts what it does not finish. */
async function openStuck (service: Service, unfinished: Buffer): Promise<RawSocket> {
  const raw = await RawSocket.open(service)
  await raw.settle()
  raw.write(unfinished)
  return raw
}

test('sockets that hold an unfinished message are closed at a deadline; who does finish is not', async (t) => {
  const service = await startService(t, { HEARTBEAT_SECONDS: '1', LOG_LEVEL: 'silent' })
  const kinds = [
    bytes(0x81), // half a header
    encodeWire({ opcode: text, payload: 'xxxx' }).subarray(0, 4), // half a mask
    encodeWire({ opcode: text, payload: 'x'.repeat(60_000) }).subarray(0, 30_000), // half a payload
    wire({ opcode: text, fin: false, payload: 'x' }), // a fragment, and no more
    wire({ opcode: binary, fin: false }), // an empty one
    wire({ opcode: text, fin: false, payload: 'x' }, { opcode: pong }, { opcode: ping }) // and control frames behind it
  ]
  const [idle, slow] = [await connect(service), await RawSocket.open(service, { query: 'room=lobby' })]
  const healthy = { done: false }
  const finishing = (async () => {
    // Never without a message begun, and every one of them finished.
    const [head, tail] = [
      wire({ opcode: text, fin: false, payload: '{"type":"ping",' }),
      wire({ opcode: continuation, payload: '"id":1}' })
    ]
    slow.write(head)
    for (let seen = 0; !healthy.done;) {
      slow.write(Buffer.concat([tail, head]))
      const pings = () => slow.received.filter(({ opcode }) => opcode === ping).length
      await until(() => healthy.done || pings() > seen, 'the next heartbeat')
      seen = pings()
      if (!healthy.done) slow.send({ opcode: pong })
    }
  })()
  const stuck = await Promise.all(Array.from({ length: 100 }, async (_, i) => await openStuck(service, kinds[i % kinds.length] as Buffer)))
  const ends = await Promise.all(stuck.map(async (raw) => await raw.closeFrame))
  t.strictSame([...new Set(ends.map((end) => JSON.stringify(end)))], ['{"code":1008,"reason":"Message not finished"}'])
  await Promise.all(stuck.map(async (raw) => { await raw.ended }))
  for (const { socket } of stuck) socket.destroy()
  healthy.done = true
  await finishing
  t.equal(service.app.roomcast.hub.connections.size, 2, 'they are gone, though they never answered the close frame')
  t.match(await idle.ask({ type: 'ping' }), { type: 'pong' })
  slow.write(wire({ opcode: continuation, payload: '"id":"slow"}' }))
  t.match(await slow.find(({ id }) => id === 'slow'), { type: 'pong' })
  slow.socket.destroy()
})

/** What `src/transport/websocket.ts` reads of a ws Receiver. */
interface Internals {
  _receiver: { _state: number, _bufferedBytes: number, _fragmented: number }
}

test('the internals of ws by which an unfinished message is recognised mean what the transport thinks', async (t) => {
  const service = await startService(t)
  let server: WebSocket | undefined
  service.app.websocketServer.on('connection', (ws: WebSocket) => { server = ws })
  const raw = await RawSocket.open(service)
  await raw.settle()
  const [connection] = service.app.roomcast.hub.connections
  if (server === undefined || connection === undefined) throw new Error('no connection')
  const { _receiver: receiver } = server as unknown as Internals
  const look = () => ({ state: receiver._state, bufferedBytes: receiver._bufferedBytes, fragmented: receiver._fragmented })
  const finished = { state: 0, bufferedBytes: 0, fragmented: 0 }

  t.strictSame(look(), finished, 'between messages')
  t.equal(connection.unfinished, false)

  const frame = encodeWire({ opcode: text, payload: '{"type":"ping","id":1}' })
  raw.write(frame.subarray(0, 1))
  await until(() => receiver._bufferedBytes === 1, 'one byte of a header to be buffered')
  t.equal(connection.unfinished, true)
  raw.write(frame.subarray(1, 2))
  await until(() => receiver._bufferedBytes === 0 && receiver._state !== 0, 'the state to move on to the mask')
  t.equal(connection.unfinished, true)
  raw.write(frame.subarray(2, 16))
  await until(() => receiver._bufferedBytes === 10 && receiver._state !== 0, 'ten bytes of the payload to be buffered')
  t.equal(connection.unfinished, true)
  raw.write(frame.subarray(16))
  await raw.find(({ id }) => id === 1)
  t.strictSame(look(), finished, 'after a message')
  t.equal(connection.unfinished, false)

  raw.write(wire({ opcode: text, fin: false, payload: '{"type":"ping",' }))
  await until(() => receiver._fragmented !== 0 && receiver._bufferedBytes === 0 && receiver._state === 0, 'a fragment to be in')
  t.equal(connection.unfinished, true)
  raw.write(wire({ opcode: ping, payload: 'x' }))
  await until(() => raw.received.some(({ opcode }) => opcode === pong))
  t.equal(connection.unfinished, true, 'a control frame between fragments finishes nothing')
  raw.write(wire({ opcode: continuation, payload: '"id":2}' }))
  await raw.find(({ id }) => id === 2)
  t.strictSame(look(), finished, 'after the last fragment')
  t.equal(connection.unfinished, false)
  raw.socket.destroy()
})
