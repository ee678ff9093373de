import { test } from 'tap'
import { Exceptions, ofOrigin, ofUser } from '../../src/hub/exceptions.ts'
import { Batch, RoomFrame } from '../../src/transport/batch.ts'
import { connectTo, RecordingTransport } from './recorder.ts'

/** A batch of so many frames, with the texts `0`, `1` and so on. */
function makeBatch (count: number): Batch {
  return new Batch(Array.from({ length: count }, (_, i) => {
    const fields = Buffer.from(`"from":"bob","text":"${i}"`)
    return RoomFrame.ofMessage('room', { fields, time: 1, offset: i + 1 }, 'e')
  }))
}

/** Writes a batch to a connection of an origin and a user, and returns its transport. */
function writeTo (exceptions: Exceptions, batch: Batch, origin: string, user: string): RecordingTransport {
  const transport = new RecordingTransport()
  exceptions.write(batch, connectTo(transport, { origin, user }))
  return transport
}

test('an exception names an origin or a user, and never both', async (t) => {
  t.not(ofOrigin('ada'), ofUser('ada'))
  t.not(ofOrigin('user:ada'), ofUser('ada'))
  t.not(ofUser('origin:ada'), ofOrigin('ada'))
  t.equal(ofOrigin('tab'), ofOrigin('tab'))
  t.not(ofUser('ada'), ofUser('Ada'))
})

test('a connection without exceptions gets the whole batch, in the buffer of all the others', async (t) => {
  const batch = makeBatch(3)
  const exceptions = new Exceptions()
  const before = writeTo(exceptions, batch, 'tab', 'ada')
  exceptions.add(ofOrigin('other'), 0)
  exceptions.add(ofUser('bob'), 1)
  const after = writeTo(exceptions, batch, 'tab', 'ada')
  for (const { chunks } of [before, after]) {
    t.equal(chunks.length, 1)
    t.equal(chunks[0], batch.websocket)
  }
})

test('the connections of an origin do not get its frames, in one write', async (t) => {
  const exceptions = new Exceptions()
  exceptions.add(ofOrigin('tab'), 0)
  exceptions.add(ofOrigin('tab'), 3)
  exceptions.add(ofOrigin('other'), 1)
  const batch = makeBatch(5)
  const transport = writeTo(exceptions, batch, 'tab', 'ada')
  t.strictSame(transport.words, ['1', '2', '4'])
  t.equal(transport.chunks.length, 1)
  t.strictSame(writeTo(exceptions, batch, 'tab', 'bob').words, ['1', '2', '4'], 'whichever user they have')
  t.strictSame(writeTo(exceptions, batch, 'other', 'ada').words, ['0', '2', '3', '4'])
})

test('all connections of a user do not get the frames except for the user', async (t) => {
  const exceptions = new Exceptions()
  exceptions.add(ofUser('ada'), 2)
  const batch = makeBatch(3)
  for (const origin of ['tab', 'other']) t.strictSame(writeTo(exceptions, batch, origin, 'ada').words, ['0', '1'])
  t.strictSame(writeTo(exceptions, batch, 'tab', 'bob').words, ['0', '1', '2'])
})

test('a frame is left out by the origin, by the user or by both', async (t) => {
  const exceptions = new Exceptions()
  exceptions.add(ofOrigin('tab'), 0)
  exceptions.add(ofUser('ada'), 2)
  exceptions.add(ofOrigin('tab'), 3)
  exceptions.add(ofUser('ada'), 3)
  const batch = makeBatch(5)
  t.strictSame(writeTo(exceptions, batch, 'tab', 'ada').words, ['1', '4'])
  t.strictSame(writeTo(exceptions, batch, 'tab', 'bob').words, ['1', '2', '4'])
  t.strictSame(writeTo(exceptions, batch, 'other', 'ada').words, ['0', '1', '4'])
  t.strictSame(writeTo(exceptions, batch, 'other', 'bob').words, ['0', '1', '2', '3', '4'])
})

test('an origin and a user of the same name have their own exceptions', async (t) => {
  const exceptions = new Exceptions()
  exceptions.add(ofOrigin('ada'), 0)
  exceptions.add(ofUser('ada'), 1)
  const batch = makeBatch(3)
  t.strictSame(writeTo(exceptions, batch, 'ada', 'bob').words, ['1', '2'])
  t.strictSame(writeTo(exceptions, batch, 'tab', 'ada').words, ['0', '2'])
  t.strictSame(writeTo(exceptions, batch, '__proto__', 'constructor').words, ['0', '1', '2'])
})

test('a connection that is excluded from all frames is not written to', async (t) => {
  const batch = makeBatch(2)
  const exceptions = new Exceptions()
  exceptions.add(ofOrigin('tab'), 0)
  exceptions.add(ofUser('ada'), 1)
  t.equal(writeTo(exceptions, batch, 'tab', 'ada').chunks.length, 0)
  const full = new RecordingTransport()
  full.queued = 1_000
  exceptions.write(batch, connectTo(full, { origin: 'tab', user: 'ada', maxQueueBytes: 10 }))
  t.equal(full.closedFor, undefined, 'it is no slow consumer of nothing')
})

test('an exception counts once, however often it is added', async (t) => {
  const exceptions = new Exceptions()
  for (let i = 0; i < 3; i++) exceptions.add(ofOrigin('tab'), 1)
  t.strictSame(writeTo(exceptions, makeBatch(3), 'tab', 'ada').words, ['0', '2'])
})

test('the batch itself keeps all frames', async (t) => {
  const exceptions = new Exceptions()
  exceptions.add(ofUser('ada'), 0)
  const batch = makeBatch(2)
  writeTo(exceptions, batch, 'tab', 'ada')
  t.equal(batch.frames.length, 2)
  t.strictSame(writeTo(exceptions, batch, 'tab', 'bob').words, ['0', '1'])
})
