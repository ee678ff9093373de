import { test } from 'tap'
import { RETRYABLE } from '../../../client/testing/refusal.ts'
import { ERRORS } from '../../../src/errors.ts'
import { SCENARIOS } from './scenarios.ts'
import { startReal, startTwin } from './sides.ts'

for (const { name, options = {}, run, expected } of SCENARIOS) {
  for (const [side, start] of [['the service', startReal], ['the twin', startTwin]] as const) {
    test(`${side}: ${name}`, async (t) => {
      t.strictSame(await run(await start(t, options)), expected)
    })
  }
}

test('the twin and the service call the same errors retryable', (t) => {
  t.strictSame([...RETRYABLE].sort(), Object.entries(ERRORS).filter(([, { retryable }]) => retryable).map(([code]) => code).sort())
  t.end()
})
