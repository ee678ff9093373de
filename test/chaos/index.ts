import { parseArgs } from 'node:util'
import { type BugName, BUGS, seedBug } from './bugs.ts'
import { describeResult, describeViolations } from './report.ts'
import { type Result, run, SERVER } from './run.ts'

/*
 * npm run chaos -- --seconds 60 --seed 7
 *
 * Half of the time with a Redis that keeps what it has acknowledged, half with one that does not. --redis durable or
 * --redis volatile for one of them alone; --bug <name> for a service with a bug in it, which is to be found.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    messages: { type: 'string', default: '0' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    redis: { type: 'string', default: 'both' },
    bug: { type: 'string' }
  }
})
const seconds = Number(values.seconds)
const messages = Number(values.messages)
const seed = Number(values.seed)
const setups = { durable: [true], volatile: [false], both: [true, false] }[values.redis]
const isUsable = seconds > 0 && Number.isSafeInteger(messages) && messages >= 0 && Number.isSafeInteger(seed) &&
  (values.bug === undefined || values.bug in BUGS)
if (!isUsable || setups === undefined) {
  const bugs = Object.keys(BUGS).join('|')
  console.error(`Usage: npm run chaos -- [--seconds 60] [--messages 0] [--seed 7] [--redis durable|volatile|both] [--bug ${bugs}]`)
  process.exit(2)
}

const program = values.bug === undefined ? SERVER : await seedBug(values.bug as BugName)
let failed = false
for (const durable of setups) {
  const ends: (() => unknown)[] = []
  let result: Result
  try {
    result = await run({ teardown: (end) => { ends.unshift(end) } }, {
      seconds: seconds / setups.length,
      messages: Math.ceil(messages / setups.length),
      seed,
      durable,
      program
    })
  } finally {
    for (const end of ends) await end()
  }
  console.log(describeResult(result))
  if (result.violations.length === 0) continue
  failed = true
  console.error(describeViolations(result.violations))
}
process.exit(failed ? 1 : 0)
