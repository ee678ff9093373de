import { test } from 'tap'
import { TokenSource } from '../../client/token-source.ts'
import { ManualClock } from '../support/manual-clock.ts'

test('a source that is stopped after its function has failed leaves no rejection behind', async (t) => {
  const unhandled: unknown[] = []
  const onUnhandled = (error: unknown): void => { unhandled.push(error) }
  process.on('unhandledRejection', onUnhandled)
  t.teardown(() => { process.removeListener('unhandledRejection', onUnhandled) })
  const clock = new ManualClock()
  const fail = (): never => { throw new Error('no') }
  for (const provider of [fail, async () => fail(), () => undefined as never, () => 'token']) {
    const source = new TokenSource(provider, { clock, marginMs: 0, timeoutMs: 10_000 })
    await source.get().catch(() => {})
    source.stop()
    await new Promise((resolve) => { setTimeout(resolve, 10) })
  }
  t.strictSame(unhandled, [])
  t.equal(clock.next, Infinity, 'no timer is left')
})

test('a function that hangs is aborted by its timeout and by the end of the client', async (t) => {
  const clock = new ManualClock()
  for (const end of ['timeout', 'stop'] as const) {
    let signal: AbortSignal | undefined
    const source = new TokenSource(async (request) => {
      signal = request.signal
      return await new Promise(() => {})
    }, { clock, marginMs: 0, timeoutMs: 10_000 })
    const token = t.rejects(source.get(), /has not returned/)
    if (end === 'stop') source.stop()
    else clock.tick(10_000)
    await token
    t.ok(signal?.aborted)
    t.equal(clock.next, Infinity)
  }
})
