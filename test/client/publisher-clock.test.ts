import { type Test, test } from 'tap'
import { RoomcastError } from '../../client/errors.ts'
import { Failure, retry } from '../../client/publisher/retry.ts'

const MINUTE_MS = 60_000

/** Changes the time of day of this process, ms. */
function setClock (t: Test, ms: number): void {
  const { now } = Date
  Date.now = () => now() + ms
  t.teardown(() => { Date.now = now })
}

/** Makes attempts that fail until the third one; something happens in the first attempt. Returns the number of attempts. */
async function countAttempts (onFirst: () => void): Promise<number> {
  let attempts = 0
  const error = new RoomcastError('unavailable', '', { retryAfterMs: 50 })
  await retry(async () => {
    if (++attempts === 1) onFirst()
    return attempts < 3 ? new Failure(error, { isWorthRetrying: true }) : 'done'
  }, { timeoutMs: 10_000, giveUpMs: 10 * MINUTE_MS, signal: undefined })
  return attempts
}

test('a machine that sleeps for longer than a key is known makes no other attempt', async (t) => {
  t.equal(await countAttempts(() => { setClock(t, 6 * MINUTE_MS) }), 1, 'it sleeps during an attempt')
  t.equal(await countAttempts(() => { setTimeout(() => { setClock(t, 6 * MINUTE_MS) }, 10) }), 1, 'it sleeps before the next attempt')
})

test('a clock that is set back, or a short sleep, changes nothing', async (t) => {
  t.equal(await countAttempts(() => { setClock(t, -60 * MINUTE_MS) }), 3)
  t.equal(await countAttempts(() => { setClock(t, 3 * MINUTE_MS) }), 3)
})
