import { mock } from 'node:test'
import { test, type Test } from 'tap'
import { PublishRate } from '../../src/callers/publish-rate.ts'
import { RoomcastError } from '../../src/errors.ts'

/** Stops the clock; returns a function that moves it on. */
function stopClock (t: Test): (ms: number) => void {
  let now = 1_000
  const clock = mock.method(performance, 'now', () => now)
  t.teardown(() => { clock.mock.restore() })
  return (ms) => { now += ms }
}

/** Asserts a wait that is rounded up. */
function near (t: Test, wait: number, ms: number, message?: string): void {
  t.ok(wait >= ms && wait <= ms + 2, `${wait} ms${message === undefined ? '' : `: ${message}`}`)
}

/** The wait in the refusal of a request, ms; 0 if it is admitted. */
function waitOf (rate: PublishRate, user: string, messages = 1): number {
  try {
    rate.admit(user, messages)
    return 0
  } catch (error) {
    if (!(error instanceof RoomcastError) || error.code !== 'rate_limited') throw error
    return error.retryAfterMs ?? NaN
  }
}

test('each caller has its own allowance', async (t) => {
  stopClock(t)
  const rate = new PublishRate(10, 3)
  for (let i = 0; i < 3; i++) t.equal(waitOf(rate, 'ada'), 0)
  near(t, waitOf(rate, 'ada'), 100)
  t.equal(waitOf(rate, 'bob'), 0)
})

test('a request beyond the burst is admitted as a whole, and the next one waits for it', async (t) => {
  const pass = stopClock(t)
  const rate = new PublishRate(10, 3)
  t.equal(waitOf(rate, 'ada', 100), 0)
  const wait = waitOf(rate, 'ada')
  near(t, wait, 9_800, '97 messages of debt, and one to be left')
  pass(wait - 100)
  t.not(waitOf(rate, 'ada'), 0)
  pass(100)
  t.equal(waitOf(rate, 'ada'), 0)
})

test('a refusal is free: a caller that keeps asking gets its rate', async (t) => {
  const pass = stopClock(t)
  const rate = new PublishRate(8, 1)
  let admitted = 0
  for (let i = 0; i < 1_000; i++) {
    if (waitOf(rate, 'ada') === 0) admitted++
    pass(15.625) // An eighth of a message, without a rounding error.
  }
  t.equal(admitted, 125)
})

test('a rate of 0 is no limit', async (t) => {
  stopClock(t)
  const rate = new PublishRate(0, 0)
  for (let i = 0; i < 10_000; i++) if (waitOf(rate, 'ada', 100) !== 0) t.fail('it was refused')
})

test('callers whose allowance is full again are forgotten', async (t) => {
  const pass = stopClock(t)
  const rate = new PublishRate(10, 10)
  for (let i = 0; i < 1_000; i++) waitOf(rate, `user-${i}`, 5)
  t.equal(rate.callers, 1_000)
  pass(500)
  waitOf(rate, 'ada')
  t.equal(rate.callers, 1)
})
