import { type Test, test } from 'tap'
import type { RoomcastError } from '../../client/errors.ts'
import type { PublishFrame, SentFrame } from '../../client/link.ts'
import { Outbox } from '../../client/outbox.ts'
import { Requests } from '../../client/requests.ts'
import { ManualClock } from '../support/manual-clock.ts'

const MINUTE_MS = 60_000

interface Made {
  outbox: Outbox
  requests: Requests
  clock: ManualClock
  sent: SentFrame[]
  make: (room: string, data?: unknown) => Promise<string>
}

/** An outbox on an open link, in which the room `open` is joined. */
function makeOutbox (max: number): Made {
  const clock = new ManualClock()
  const sent: SentFrame[] = []
  const requests = new Requests(clock, (frame) => { sent.push(frame) }, () => {})
  requests.onOpen(false)
  const outbox = new Outbox({ clock, requests, max, isJoined: (room) => room === 'open', onPassed: () => {} })
  let keys = 0
  const make = async (room: string, data: unknown = 1): Promise<string> => (
    await outbox.publish(room, data, { key: `k${keys++}` }).then(() => 'nothing', (error: RoomcastError) => error.code)
  )
  return { outbox, requests, clock, sent, make }
}

function keysOf (frames: SentFrame[]): string[] {
  return frames.map((frame) => (frame as PublishFrame).key)
}

test('publishes are repeated with the same keys, not before the service takes them, and more than may wait are refused', async (t) => {
  const { outbox, requests, clock, sent, make } = makeOutbox(3)
  const away = make('closed')
  t.equal(sent.length, 0, 'nothing goes to a room that is not joined')
  const [second, third] = [make('open'), make('open')]
  t.equal(await make('open'), 'queue_full')
  outbox.onDown(1006)
  requests.onDown(1006)
  requests.onOpen(false)
  t.strictSame(keysOf(sent), ['k1', 'k2', 'k1', 'k2'], 'again with the same keys')
  requests.take({ type: 'error', id: 2, code: 'unavailable', text: '', retryable: true, retryAfterMs: 100 })
  clock.tick(99)
  t.equal(sent.length, 4, 'not before it may succeed')
  clock.tick(1_000)
  t.equal(sent.length, 5)
  requests.take({ type: 'ack', id: 2, room: 'open', epoch: 'e', offset: 1 })
  requests.take({ type: 'error', id: 3, code: 'forbidden', text: '', retryable: false })
  t.strictSame([await second, await third], ['nothing', 'forbidden'])
  t.equal(await make('closed', 'x'.repeat(4 * 1024 * 1024)), 'queue_full')
  outbox.reject({ code: 'closed' } as RoomcastError)
  t.equal(await away, 'closed')
})

/** Lets time pass in which a publish has no answer, and opens the next link. */
async function outlast (t: Test, pass: (clock: ManualClock) => void): Promise<{ code: string, sent: number }> {
  const { requests, clock, sent, make } = makeOutbox(3)
  const publish = make('open')
  requests.onDown(1006)
  pass(clock)
  requests.onOpen(false)
  requests.take({ type: 'ack', id: 1, room: 'open', epoch: 'e', offset: 1 })
  t.equal(clock.next, Infinity, 'no timer is left')
  return { code: await publish, sent: sent.length }
}

test('a publish without an answer for four minutes is unknown by each clock, and is not sent again', async (t) => {
  const unknown = { code: 'unknown', sent: 1 }
  t.strictSame(await outlast(t, (clock) => { clock.tick(4 * MINUTE_MS) }), unknown, 'the time has passed')
  t.strictSame(await outlast(t, (clock) => { clock.sleep(6 * MINUTE_MS) }), unknown, 'the machine has slept, and its timers with it')
  t.strictSame(await outlast(t, (clock) => { clock.sleep(-60 * MINUTE_MS); clock.tick(4 * MINUTE_MS) }), unknown, 'the clock was set back')
  t.strictSame(await outlast(t, (clock) => { clock.sleep(-60 * MINUTE_MS); clock.tick(3 * MINUTE_MS) }), { code: 'nothing', sent: 2 })
  t.strictSame(await outlast(t, (clock) => { clock.sleep(3 * MINUTE_MS) }), { code: 'nothing', sent: 2 }, 'a short sleep')
})

test('a publish that was never sent may wait for any time', async (t) => {
  const { requests, clock, sent, make } = makeOutbox(3)
  requests.onDown(1006)
  const publish = make('open')
  clock.tick(60 * MINUTE_MS)
  clock.sleep(60 * MINUTE_MS)
  requests.onOpen(false)
  t.equal(sent.length, 1)
  requests.take({ type: 'ack', id: 1, room: 'open', epoch: 'e', offset: 1 })
  t.equal(await publish, 'nothing')
})
