import { test } from 'tap'
import { toMs } from '../../../client/testing/duration.ts'
import { EventLoop } from '../../../client/testing/event-loop.ts'
import { FakeClock } from '../../../client/testing/fake-clock.ts'

test('durations are texts with a unit, or ms', (t) => {
  t.strictSame(
    (['250ms', '10s', '5m', '1h', '2d', '1.5s', '-1h', 7] as const).map(toMs),
    [250, 10_000, 300_000, 3_600_000, 172_800_000, 1_500, -3_600_000, 7]
  )
  for (const wrong of ['', '5', 's', '5 s', '5w', 'ms', NaN, Infinity, undefined]) {
    t.throws(() => toMs(wrong as never), TypeError, String(wrong))
  }
  t.end()
})

test('an advance calls the due timers in order, each at its time', async (t) => {
  const clock = new FakeClock(new EventLoop(), 1_000_000)
  const start = clock.now()
  const seen: unknown[] = []
  const note = (name: string) => () => { seen.push([name, clock.now() - start, clock.wall() - 1_000_000]) }
  clock.after(20, note('third'))
  clock.after(10, note('first'))
  clock.after(10, () => {
    note('second')()
    clock.after(5, note('from a timer'))
    clock.after(0, note('at once'))
  })
  clock.after(-5, note('past'))
  clock.after(15, note('stopped'))()
  clock.after(31, note('later'))
  await clock.advance(30)
  t.strictSame(seen, [
    ['past', 0, 0], ['first', 10, 10], ['second', 10, 10], ['at once', 10, 10], ['from a timer', 15, 15], ['third', 20, 20]
  ])
  t.equal(clock.now() - start, 30)
  t.equal(clock.timers, 1)
  await clock.advance(1)
  t.strictSame(seen.at(-1), ['later', 31, 31])
  await t.rejects(clock.advance(-1), RangeError)
})

test('promises and dynamic imports settle between two timers', async (t) => {
  const clock = new FakeClock(new EventLoop(), 0)
  const seen: unknown[] = []
  clock.after(10, () => {
    void (async () => {
      const { toMs } = await import('../../../client/testing/duration.ts')
      for (let i = 0; i < 100; i++) await undefined
      seen.push(toMs('1s'))
      clock.after(5, () => { seen.push('set after the import') })
    })()
  })
  clock.after(20, () => { seen.push('later') })
  await clock.advance(30)
  t.strictSame(seen, [1_000, 'set after the import', 'later'])
})

test('sleep and jumps of the time of day call no timer', async (t) => {
  const clock = new FakeClock(new EventLoop(), 1_000_000)
  const start = clock.now()
  let calls = 0
  clock.after(10, () => { calls++ })
  clock.sleep(60_000)
  t.strictSame([clock.now() - start, clock.wall(), clock.elapsed], [0, 1_060_000, 60_000])
  clock.jump(-2_000_000)
  t.strictSame([clock.now() - start, clock.wall(), clock.elapsed], [0, -940_000, 60_000])
  await clock.advance(9)
  t.equal(calls, 0)
  await clock.advance(1)
  t.equal(calls, 1)
})

test('the tasks of an event loop are one turn each', async (t) => {
  const loop = new EventLoop()
  const seen: number[] = []
  for (const n of [1, 3, 5]) {
    loop.push(() => {
      seen.push(n)
      void Promise.resolve().then(async () => {}).then(() => { seen.push(n + 1) })
    })
  }
  await loop.idle()
  t.strictSame(seen, [1, 2, 3, 4, 5, 6])
})
