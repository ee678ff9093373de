import { mock } from 'node:test'
import { test, type Test } from 'tap'
import { Allowance } from '../../src/callers/allowance.ts'

/** Stops the clock; returns a function that moves it on. */
function stopClock (t: Test): (ms: number) => void {
  let now = 1_000
  const clock = mock.method(performance, 'now', () => now)
  t.teardown(() => { clock.mock.restore() })
  return (ms) => { now += ms }
}

/** What comes of taking a number of times, without repeats. */
function take (allowance: Allowance, times: number): string[] {
  const outcomes: string[] = []
  for (let i = 0; i < times; i++) {
    const outcome = allowance.take()
    if (outcomes.at(-1) !== outcome) outcomes.push(outcome)
  }
  return outcomes
}

test('a burst is granted at once, and nothing beyond it', async (t) => {
  stopClock(t)
  const allowance = new Allowance(10, 20)
  t.strictSame(take(allowance, 20), ['granted'])
  t.strictSame(take(allowance, 1), ['exceeded'])
})

test('it comes back at its rate, up to the burst', async (t) => {
  const pass = stopClock(t)
  const allowance = new Allowance(10, 20)
  take(allowance, 20)
  pass(500)
  t.strictSame(take(allowance, 5), ['granted'])
  t.strictSame(take(allowance, 1), ['exceeded'])
  pass(3_600_000)
  t.strictSame(take(allowance, 20), ['granted'])
  t.strictSame(take(allowance, 1), ['exceeded'], 'an hour of silence is no more than a burst')
})

test('at its rate everything is granted for ever', async (t) => {
  const pass = stopClock(t)
  const allowance = new Allowance(8, 1)
  for (let i = 0; i < 1_000; i++) {
    if (allowance.take() !== 'granted') t.fail(`the ${i}th was refused`)
    pass(125)
  }
})

test('who waits as long as told is granted, who waits less is not', async (t) => {
  const pass = stopClock(t)
  for (const refusals of [1, 2, 5]) {
    const patient = new Allowance(4, 8)
    take(patient, 8 + refusals)
    pass(patient.retryAfterMs)
    t.equal(patient.take(), 'granted', `after ${refusals} refusals`)
    const hasty = new Allowance(4, 8)
    take(hasty, 8 + refusals)
    pass(hasty.retryAfterMs - 10)
    t.equal(hasty.take(), 'exceeded')
  }
})

test('a refusal costs a tenth of a success, and a whole burst of debt, 40 at least, is abuse', async (t) => {
  const pass = stopClock(t)
  for (const [burst, refusals] of [[5, 400], [100, 1_000]] as const) {
    const allowance = new Allowance(10, burst)
    t.strictSame(take(allowance, burst + refusals - 1), ['granted', 'exceeded'])
    t.equal((allowance.take(), allowance.take(), allowance.take()), 'abused')
  }
  for (const [factor, served, end] of [[2, 0.85, 'granted or exceeded'], [5, 0.5, 'granted or exceeded'], [20, 0, 'abused']] as const) {
    const fast = new Allowance(10, 5)
    const outcomes: string[] = []
    for (let i = 0; i < 200 * factor && outcomes.at(-1) !== 'abused'; i++) {
      outcomes.push(fast.take())
      pass(100 / factor)
    }
    const granted = outcomes.filter((outcome) => outcome === 'granted').length
    t.ok(granted >= 200 * served, `${factor} times as fast as allowed: ${granted} of 200`)
    t.ok(end.includes(outcomes.at(-1) ?? ''), end)
  }
})

test('a rate of 0 is no limit, and a burst is one at the least', async (t) => {
  const pass = stopClock(t)
  t.strictSame(take(new Allowance(0, 0), 100_000), ['granted'])
  const allowance = new Allowance(1, 0)
  t.strictSame(take(allowance, 2), ['granted', 'exceeded'])
  pass(2_000)
  t.equal(allowance.take(), 'granted')
})

test('several are admitted as a whole while one is left, and a refusal is free', async (t) => {
  const pass = stopClock(t)
  const allowance = new Allowance(10, 5)
  t.equal(allowance.admit(20), true)
  for (let i = 0; i < 10; i++) t.equal(allowance.admit(1), false)
  const wait = allowance.retryAfterMs
  t.ok(wait >= 1_600 && wait <= 1_602, '15 of debt, and one to be left')
  pass(wait)
  t.strictSame([allowance.admit(1), allowance.admit(1)], [true, false])
  t.equal(new Allowance(0, 0).admit(1_000_000), true, 'a rate of 0 is no limit')
})

test('it is full when no trace of its use is left', async (t) => {
  const pass = stopClock(t)
  const allowance = new Allowance(10, 5)
  t.equal(allowance.isFull, true)
  allowance.admit(2)
  pass(199)
  t.equal(allowance.isFull, false)
  pass(1)
  t.equal(allowance.isFull, true)
})
