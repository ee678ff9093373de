import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { test } from 'tap'
import { findRedis } from '../support/debian.ts'

const CHAOS = fileURLToPath(new URL('../chaos/index.js', import.meta.url))

/** Runs the chaos checker; returns its exit code and everything it says. */
async function chaos (...parameters: string[]): Promise<{ code: number, output: string }> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [CHAOS, ...parameters], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr })
    })
  })
}

/** Of so many messages each instance delivers more than a thousand. A time would not do: a busy machine publishes fewer. */
const ENOUGH_TO_DROP = 1_500

if (findRedis(t) !== undefined) {
  // .ci/run has a minute of it without a bug.
  for (const [bug, redis, seconds, messages, found] of [
    ['drop-one-in-a-thousand', 'volatile', 5, ENOUGH_TO_DROP, /^violated: .*\border \d+ ×/m],
    ['answer-before-it-is-written', 'durable', 15, 0, /^violated: .*\backnowledged \d+ ×/m],
    ['read-before-subscribing', 'durable', 15, 0, /^violated: .*\border \d+ ×/m]
  ] as const) {
    test(`the chaos checker finds the bug ${bug}`, async (t) => {
      const { code, output } = await chaos(
        '--seconds', String(seconds),
        '--messages', String(messages),
        '--seed', '7',
        '--redis', redis,
        '--bug', bug
      )
      t.equal(code, 1)
      t.match(output, found)
      t.comment(output)
    })
  }

  test('what the chaos checker is asked for wrongly is told', async (t) => {
    for (const parameters of [['--seconds', 'x'], ['--messages', 'x'], ['--seed', '1.5'], ['--redis', 'none'], ['--bug', 'none']]) {
      const { code, output } = await chaos(...parameters)
      t.equal(code, 2)
      t.match(output, /^Usage: npm run chaos/)
    }
  })
}
