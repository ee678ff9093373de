import { test } from 'tap'
import { Store } from '../../client/stores/store.ts'
import { until } from '../support/until.ts'

class Counter extends Store<{ count: number }> {
  count (): void {
    this.update({ count: this.next.count + 1 })
  }

  protected start (): void {}
  protected stop (): void {}
}

test('components hear of a change although the time of day was set back', async (t) => {
  const counter = new Counter({ count: 0 })
  t.teardown(counter.subscribe(() => {}))
  counter.count()
  await until(() => counter.getSnapshot().count === 1)
  const { now } = Date
  Date.now = () => now() - 3_600_000
  try {
    counter.count()
    await new Promise((resolve) => { counter.subscribe(() => { resolve(undefined) }) })
  } finally {
    Date.now = now
  }
  t.equal(counter.getSnapshot().count, 2)
})
