import { test } from 'tap'
import { Watch } from '../../client/tabs/watch.ts'

test('a silent connection is asked for a sign of life although the time of day was set back', async (t) => {
  const { now } = Date
  t.teardown(() => { Date.now = now })
  await new Promise<void>((resolve) => {
    const watch = new Watch(1_000, resolve, () => {})
    t.teardown(() => { watch.stop() })
    Date.now = () => now() - 3_600_000
  })
  t.pass('the connection was asked')
})
