import { mock } from 'node:test'
import { test, type Test } from 'tap'
import { IDEMPOTENCY_MS, type Published } from '../../src/broker/broker.ts'
import { KeyLimit } from '../../src/callers/key-limit.ts'
import { RoomcastError } from '../../src/errors.ts'

/** Stops the clock; returns a function that moves it on. */
function stopClock (t: Test): (ms: number) => void {
  let now = 1_000
  const clock = mock.method(performance, 'now', () => now)
  t.teardown(() => { clock.mock.restore() })
  return (ms) => { now += ms }
}

const PUBLISHED: Published = { time: 1, audience: 0, replayed: false }

/** Publishes with a new key; resolves with the refusal that the broker was given. */
async function use (limit: KeyLimit, user = 'ada'): Promise<RoomcastError | undefined> {
  let given: RoomcastError | undefined
  await limit.count(user, async (refusal) => {
    given = refusal
    if (refusal !== undefined) throw refusal
    return PUBLISHED
  }).catch(() => {})
  return given
}

test('a caller has so many keys in five minutes, and no more', async (t) => {
  const pass = stopClock(t)
  const limit = new KeyLimit(3)
  for (let i = 0; i < 3; i++) t.equal(await use(limit), undefined)
  const refusal = await use(limit)
  t.match(refusal, { code: 'rate_limited', status: 429 })
  t.equal(await use(limit, 'bob'), undefined, 'another caller has its own')
  pass(IDEMPOTENCY_MS - 1)
  t.not(await use(limit), undefined, 'the broker still remembers all of them')
  const wait = refusal?.retryAfterMs ?? NaN
  t.ok(wait > IDEMPOTENCY_MS - 1 && wait < IDEMPOTENCY_MS + 10_000)
  pass(wait - IDEMPOTENCY_MS + 1)
  t.equal(await use(limit), undefined)
})

test('keys of different times are forgotten at different times', async (t) => {
  const pass = stopClock(t)
  const limit = new KeyLimit(4)
  await use(limit)
  pass(60_000)
  for (let i = 0; i < 3; i++) await use(limit)
  pass((await use(limit))?.retryAfterMs ?? NaN)
  t.equal(await use(limit), undefined, 'the place of the first')
  const refusal = await use(limit)
  t.ok(refusal !== undefined && (refusal.retryAfterMs ?? 0) > 50_000, 'and no other yet')
})

test('a replay and a refused publish do not count', async (t) => {
  stopClock(t)
  const limit = new KeyLimit(1)
  for (let i = 0; i < 10; i++) await limit.count('ada', async () => ({ ...PUBLISHED, replayed: true }))
  for (const code of ['idempotency_conflict', 'unavailable', 'overloaded'] as const) {
    await t.rejects(limit.count('ada', async () => { throw new RoomcastError(code) }), { code })
  }
  await t.rejects(limit.count('ada', async () => { throw new TypeError('a bug') }), TypeError)
  t.equal(await use(limit), undefined)
  t.not(await use(limit), undefined)
})

test('a publish of unknown outcome counts, because its key may be remembered', async (t) => {
  stopClock(t)
  const limit = new KeyLimit(1)
  await t.rejects(limit.count('ada', async () => { throw new RoomcastError('publish_unknown') }), { code: 'publish_unknown' })
  t.not(await use(limit), undefined)
})

test('publishes in progress count', async (t) => {
  stopClock(t)
  const limit = new KeyLimit(2)
  let answer: (published: Published) => void = () => {}
  const promise = new Promise<Published>((resolve) => { answer = resolve })
  const open = [1, 2].map(async () => await limit.count('ada', async () => await promise))
  t.not(await use(limit), undefined)
  answer({ ...PUBLISHED, replayed: true })
  await Promise.all(open)
  t.equal(await use(limit), undefined)
})

test('a limit of 0 is none', async (t) => {
  const limit = new KeyLimit(0)
  for (let i = 0; i < 1_000; i++) t.equal(await use(limit), undefined)
  t.equal(limit.callers, 0)
})

test('callers without remembered keys are forgotten', async (t) => {
  const pass = stopClock(t)
  const limit = new KeyLimit(10)
  for (let i = 0; i < 1_000; i++) await use(limit, `user-${i}`)
  t.equal(limit.callers, 1_000)
  pass(2 * IDEMPOTENCY_MS)
  await use(limit)
  t.equal(limit.callers, 1)
})
