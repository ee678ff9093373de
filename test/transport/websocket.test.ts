import { Duplex } from 'node:stream'
import { test } from 'tap'
import * as ws from 'ws'
import { WebSocketTransport } from '../../src/transport/websocket.ts'
import { messageFrame, PING, textFrame } from '../../src/transport/websocket-frame.ts'
import { parseWire } from '../hub/recorder.ts'

/** The lengths at which the header changes (RFC 6455, section 5.2). */
const LENGTHS = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 1_000_000]

interface Received {
  data: Buffer
  isBinary: boolean
}

interface Receiver {
  on (event: 'message', listener: (data: Buffer, isBinary: boolean) => void): void
  on (event: 'ping', listener: (data: Buffer) => void): void
  on (event: 'error', listener: (error: Error) => void): void
  write (chunk: Buffer, done: () => void): void
}

/** Reads frames of a server as a client of the ws package does, a chunk at a time. */
async function receive (...chunks: Buffer[]): Promise<Received[]> {
  // Exported, and not in the types.
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => Receiver }
  const receiver = new Receiver({ isServer: false, allowSynchronousEvents: true, binaryType: 'nodebuffer' })
  const received: Received[] = []
  return await new Promise((resolve, reject) => {
    receiver.on('error', reject)
    receiver.on('message', (data, isBinary) => { received.push({ data: Buffer.from(data), isBinary }) })
    receiver.on('ping', (data) => { received.push({ data, isBinary: false }) })
    const last = chunks.length - 1
    chunks.forEach((chunk, i) => { receiver.write(chunk, () => { if (i === last) resolve(received) }) })
  })
}

function json ({ data }: Received): unknown {
  return JSON.parse(data.toString())
}

test('a text of any length is one frame with the shortest header', async (t) => {
  for (const length of LENGTHS) {
    const text = 'x'.repeat(length)
    const frame = textFrame(text)
    t.equal(frame.length, length + (length < 126 ? 2 : length < 65_536 ? 4 : 10), `${length} bytes`)
    t.strictSame(parseWire(frame).map(({ opcode, payload }) => ({ opcode, text: payload.toString() })), [{ opcode: 1, text }])
    t.strictSame((await receive(frame)).map(({ data, isBinary }) => ({ text: data.toString(), isBinary })), [{ text, isBinary: false }])
  }
})

test('the length of a text counts bytes, not characters', async (t) => {
  for (const text of ['ü'.repeat(62), 'ü'.repeat(63), '👋'.repeat(31), '👋'.repeat(32), '漢'.repeat(21_845), `${'漢'.repeat(21_845)}x`]) {
    t.equal((await receive(textFrame(text)))[0]?.data.toString(), text)
  }
})

test('a lone surrogate does not make invalid UTF-8', async (t) => {
  const [received] = await receive(textFrame('a\ud800b'))
  t.equal(received?.data.toString(), 'a\ufffdb')
})

test('a message is its prefix and what the publisher decided, in one frame of any length', async (t) => {
  const empty = parseWire(messageFrame('lobby', { fields: Buffer.from('"text":""'), offset: 1, time: 2 }))[0]?.payload.length ?? 0
  for (const length of [0, ...[125, 126, 65_535, 65_536].map((length) => length - empty), 200_000]) {
    const text = 'x'.repeat(length)
    const frame = messageFrame('lobby', { fields: Buffer.from(`"text":"${text}"`), offset: 1, time: 2 })
    const received = await receive(frame)
    t.equal(received[0]?.data.length, empty + length)
    t.strictSame(received.map(json), [{ type: 'message', room: 'lobby', offset: 1, time: 2, text }])
    t.equal(parseWire(frame).length, 1)
  }
})

test('a message without a position has no offset', async (t) => {
  const [received] = await receive(messageFrame('lobby', { fields: Buffer.from('"from":"grüße 👋","text":"漢"'), time: 2 }))
  t.strictSame(json(received as Received), { type: 'message', room: 'lobby', time: 2, from: 'grüße 👋', text: '漢' })
})

test('a binary message is two frames in one chunk, the payload byte for byte', async (t) => {
  for (const length of LENGTHS) {
    const bytes = Buffer.from(Array.from({ length }, (_, i) => i * 7 % 256))
    const chunk = messageFrame('lobby', { fields: Buffer.from('"from":"ada"'), bytes, offset: 1, time: 2 })
    const [header, payload, ...rest] = await receive(chunk)
    t.strictSame(json(header as Received), { type: 'message', room: 'lobby', offset: 1, time: 2, from: 'ada', binary: length })
    t.equal(payload?.isBinary, true)
    t.ok(payload?.data.equals(bytes), `${length} bytes`)
    t.equal(rest.length, 0)
    t.strictSame(parseWire(chunk).map(({ opcode }) => opcode), [1, 2])
  }
})

test('frames that are joined, or cut anywhere, are the same frames', async (t) => {
  const chunk = Buffer.concat([
    textFrame('{"type":"pong"}'),
    PING,
    messageFrame('lobby', { fields: Buffer.from('"from":"ada"'), bytes: Buffer.alloc(300, 7), time: 2 }),
    messageFrame('lobby', { fields: Buffer.from(`"text":"${'x'.repeat(70_000)}"`), time: 3 })
  ])
  const whole = await receive(chunk)
  t.equal(whole.length, 5)
  t.equal(whole[1]?.data.length, 0, 'a ping without payload')
  for (const size of [1, 3, 127, 65_536]) {
    const pieces: Buffer[] = []
    for (let at = 0; at < chunk.length; at += size) pieces.push(chunk.subarray(at, at + size))
    t.strictSame(await receive(...pieces), whole, `in pieces of ${size}`)
  }
})

/** A ws connection as far as the transport touches it, over a socket whose kernel takes nothing. */
function makeSocket (): {
  transport: WebSocketTransport,
  socket: Duplex,
  state: { readyState: number, closed: unknown[][], terminated: boolean, _receiver: Record<string, number> }
} {
  const socket = new Duplex({ write () {}, read () {} })
  const state = {
    readyState: 1,
    closed: [] as unknown[][],
    terminated: false,
    _receiver: { _state: 0, _bufferedBytes: 0, _fragmented: 0 },
    close: (...why: unknown[]) => { state.closed.push(why) },
    terminate: () => { state.terminated = true }
  }
  return { transport: new WebSocketTransport(state as unknown as ws.WebSocket, socket), socket, state }
}

test('a transport writes to the socket while it is open, and says how much is waiting', async (t) => {
  const { transport, state } = makeSocket()
  t.ok(transport.open)
  t.equal(transport.queued, 0)
  transport.send('pong', 'x'.repeat(98))
  transport.send('pong', 'x'.repeat(48))
  t.equal(transport.queued, 150)
  for (const readyState of [0, 2, 3]) {
    state.readyState = readyState
    t.notOk(transport.open)
    transport.send('pong', 'x'.repeat(1_000)) // RFC 6455, section 5.5.1: no data follows a close frame.
  }
  t.equal(transport.queued, 150)
})

test('a transport closes with the code and the reason of the table, and ends at once when told', async (t) => {
  const { transport, state } = makeSocket()
  transport.close('slowConsumer')
  t.strictSame(state.closed, [[4008, 'Slow consumer']])
  t.equal(state.terminated, false)
  transport.terminate()
  t.equal(state.terminated, true)
})

test('the receiver of ws still shows whether a message is unfinished', async (t) => {
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => Receiver & Record<string, number> }
  const unfinishedAfter = async (...chunks: Buffer[]): Promise<boolean> => {
    const receiver = new Receiver({ isServer: false })
    const { transport, state } = makeSocket()
    state._receiver = receiver
    for (const chunk of chunks) await new Promise<void>((resolve) => { receiver.write(chunk, resolve) })
    return transport.unfinished
  }
  const whole = textFrame('hello')
  const fragment = Buffer.from(whole)
  fragment[0] = 0x01 // Not the last one.
  t.equal(await unfinishedAfter(), false, 'nothing came')
  t.equal(await unfinishedAfter(whole), false)
  t.equal(await unfinishedAfter(whole, whole), false)
  t.equal(await unfinishedAfter(whole.subarray(0, 1)), true, 'half a header')
  t.equal(await unfinishedAfter(whole.subarray(0, 2)), true, 'a header')
  t.equal(await unfinishedAfter(whole.subarray(0, 4)), true, 'half a payload')
  t.equal(await unfinishedAfter(textFrame('x'.repeat(300)).subarray(0, 3)), true, 'half a length')
  t.equal(await unfinishedAfter(fragment), true, 'a fragment')
  t.equal(await unfinishedAfter(fragment, Buffer.from([0x80, 0])), false, 'and its end')
})
