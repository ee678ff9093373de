import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { test } from 'tap'
import { findRedis } from '../support/debian.ts'

const CHAOS = fileURLToPath(new URL('../chaos/index.js', import.meta.url))

/** Runs the chaos checker; returns its exit code and everything it says. */
async function chaos (...parameters: string[]): Promise<{ code: number, output: string }> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [CHAOS, ...parameters], (error, stdout, stderr) => { resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr }) })
  })
}

if (findRedis(t) !== undefined) {
  // .ci/run has a minute of it without a bug.
  for (const [bug, redis, seconds, found] of [
    ['drop-one-in-a-thousand', 'volatile', 30, /^violated: .*\border \d+ ×/m], // Where more is published: it is to be dropped some ten times.
    ['answer-before-it-is-written', 'durable', 15, /^violated: .*\backnowledged \d+ ×/m],
    ['read-before-subscribing', 'durable', 15, /^violated: .*\border \d+ ×/m]
  ] as const) {
    test(`the chaos checker finds the bug ${bug}`, async (t) => {
      const { code, output } = await chaos('--seconds', String(seconds), '--seed', '7', '--redis', redis, '--bug', bug)
      t.equal(code, 1)
      t.match(output, found)
      t.comment(output)
    })
  }

  test('what the chaos checker is asked for wrongly is told', async (t) => {
    for (const parameters of [['--seconds', 'x'], ['--seed', '1.5'], ['--redis', 'none'], ['--bug', 'none']]) {
      const { code, output } = await chaos(...parameters)
      t.equal(code, 2)
      t.match(output, /^Usage: npm run chaos/)
    }
  })
}
