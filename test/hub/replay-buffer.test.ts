import { test } from 'tap'
import { type Delivered, ReplayBuffer } from '../../src/hub/replay-buffer.ts'
import { RoomFrame } from '../../src/transport/batch.ts'
import { Random } from '../chaos/random.ts'

const MAX_MESSAGES = 300
const MAX_BYTES = 512 * 1024

/** A message with a text of so many characters. */
function delivered (offset: number, characters = 1, exclude?: string): Delivered {
  const fields = Buffer.from(`"from":"bob","text":"${'x'.repeat(characters)}"`)
  return { offset, frame: RoomFrame.ofMessage('room', { fields, time: 1, offset }, 'e'), exclude }
}

/** A message whose frame has exactly so many bytes. */
function deliveredOf (offset: number, bytes: number): Delivered {
  let characters = bytes
  // Twice: the header of a shorter frame may be shorter.
  for (let i = 0; i < 2; i++) characters += bytes - delivered(offset, characters).frame.bytes
  return delivered(offset, characters)
}

function offsets ({ messages }: ReplayBuffer): number[] {
  return messages.map(({ offset }) => offset)
}

function upTo (count: number, first = 1): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}

test('a buffer records from the first recorder on, in order, the messages as they are', async (t) => {
  const buffer = new ReplayBuffer()
  t.equal(buffer.recording, false)
  t.strictSame(offsets(buffer), [])
  const stop = buffer.record()
  t.equal(buffer.recording, true)
  const [one, two] = [delivered(7), delivered(8, 1, 'tab')]
  buffer.add(one)
  buffer.add(two)
  t.equal(buffer.messages[0], one)
  t.equal(buffer.messages[1], two)
  stop()
  t.equal(buffer.recording, false)
  t.strictSame(offsets(buffer), [], 'nothing is kept without a recorder')
})

test('the last recorder to stop ends the recording, whichever came first', async (t) => {
  for (const first of [0, 1]) {
    const buffer = new ReplayBuffer()
    const stops = [buffer.record()]
    buffer.add(delivered(1))
    stops.push(buffer.record())
    buffer.add(delivered(2))
    stops[first]?.()
    t.equal(buffer.recording, true)
    buffer.add(delivered(3))
    t.strictSame(offsets(buffer), [1, 2, 3])
    stops[1 - first]?.()
    t.equal(buffer.recording, false)
    t.strictSame(offsets(buffer), [])
  }
})

test('a recorder that stops twice does not stop another one', async (t) => {
  const buffer = new ReplayBuffer()
  const stop = buffer.record()
  const stopOther = buffer.record()
  buffer.add(delivered(1))
  for (let i = 0; i < 3; i++) stop()
  t.equal(buffer.recording, true)
  t.strictSame(offsets(buffer), [1])
  stopOther()
  stopOther()
  t.equal(buffer.recording, false)
  const stopThird = buffer.record()
  buffer.add(delivered(2))
  stop()
  stopOther()
  t.equal(buffer.recording, true, 'the recorders of an earlier recording have stopped for good')
  t.strictSame(offsets(buffer), [2])
  stopThird()
  t.equal(buffer.recording, false)
})

test('a buffer records so many messages and no more: the oldest ones go', async (t) => {
  const buffer = new ReplayBuffer()
  buffer.record()
  for (const offset of upTo(MAX_MESSAGES)) buffer.add(delivered(offset))
  t.strictSame(offsets(buffer), upTo(MAX_MESSAGES))
  buffer.add(delivered(MAX_MESSAGES + 1))
  t.strictSame(offsets(buffer), upTo(MAX_MESSAGES, 2))
  for (const offset of upTo(1_000, MAX_MESSAGES + 2)) buffer.add(delivered(offset))
  t.strictSame(offsets(buffer), upTo(MAX_MESSAGES, 1_002))
})

test('a buffer records so many bytes and no more: as many of the oldest messages go as a new one needs', async (t) => {
  const buffer = new ReplayBuffer()
  buffer.record()
  for (const offset of upTo(8)) buffer.add(deliveredOf(offset, MAX_BYTES / 8))
  t.equal(buffer.messages.reduce((sum, { frame }) => sum + frame.bytes, 0), MAX_BYTES, 'the sizes are exact')
  t.strictSame(offsets(buffer), upTo(8))
  buffer.add(delivered(9))
  t.strictSame(offsets(buffer), upTo(8, 2), 'one byte too many costs a message')
  buffer.add(deliveredOf(10, MAX_BYTES / 2))
  t.strictSame(offsets(buffer), [6, 7, 8, 9, 10])
  buffer.add(deliveredOf(11, MAX_BYTES))
  t.strictSame(offsets(buffer), [11], 'a message of the whole size stays alone')
})

test('a message above the bound is not recorded, and neither are those before it', async (t) => {
  const buffer = new ReplayBuffer()
  buffer.record()
  buffer.add(delivered(1))
  buffer.add(deliveredOf(2, MAX_BYTES + 1))
  t.strictSame(offsets(buffer), [], 'a hole would look like a whole')
  for (const offset of upTo(8, 3)) buffer.add(deliveredOf(offset, MAX_BYTES / 8))
  t.strictSame(offsets(buffer), upTo(8, 3), 'its bytes do not count any more')
})

test('a cleared buffer goes on recording, with all of its space', async (t) => {
  const buffer = new ReplayBuffer()
  const stop = buffer.record()
  for (const offset of upTo(8)) buffer.add(deliveredOf(offset, MAX_BYTES / 8))
  buffer.clear()
  t.equal(buffer.recording, true)
  t.strictSame(offsets(buffer), [])
  for (const offset of upTo(8, 9)) buffer.add(deliveredOf(offset, MAX_BYTES / 8))
  t.strictSame(offsets(buffer), upTo(8, 9))
  stop()
  buffer.record()
  for (const offset of upTo(8, 17)) buffer.add(deliveredOf(offset, MAX_BYTES / 8))
  t.strictSame(offsets(buffer), upTo(8, 17), 'a stop gives the space back as well')
})

test('a list that a resume has taken does not change when the recording ends', async (t) => {
  const buffer = new ReplayBuffer()
  const stop = buffer.record()
  buffer.add(delivered(1))
  const { messages } = buffer
  stop()
  buffer.record()
  buffer.add(delivered(2))
  t.strictSame(messages.map(({ offset }) => offset), [1])
})

for (const seed of [1, 2, 3]) {
  test(`messages of any sizes leave the longest latest part within both bounds (seed ${seed})`, async (t) => {
    const random = new Random(seed)
    const buffer = new ReplayBuffer()
    buffer.record()
    const all: Delivered[] = []
    let [byNumber, byBytes] = [0, 0]
    for (const offset of upTo(2_000)) {
      const isBig = Math.floor(offset / 400) % 2 === 1 && random.between(0, 9) === 0
      all.push(delivered(offset, random.between(1, isBig ? 150_000 : 200)))
      buffer.add(all.at(-1) as Delivered)
      let [bytes, from] = [0, all.length]
      for (; from > 0 && all.length - from < MAX_MESSAGES; from--) {
        const more = all[from - 1]?.frame.bytes ?? 0
        if (bytes + more > MAX_BYTES) break
        bytes += more
      }
      if (from > 0 && all.length - from < MAX_MESSAGES) byBytes++
      else if (from > 0) byNumber++
      const expected = all.slice(from)
      if (buffer.messages.length !== expected.length || buffer.messages.some((message, i) => message !== expected[i])) {
        throw new Error(`offset ${offset}: ${offsets(buffer).join()}`)
      }
    }
    t.ok(byNumber > 100 && byBytes > 100, `both bounds were reached: ${byNumber} and ${byBytes} times`)
  })
}
