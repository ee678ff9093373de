import { test } from 'tap'
import { FAULT_NAMES, makeSchedule } from './schedule.ts'

test('a seed is a schedule: the same each time, and another for another seed', (t) => {
  t.strictSame(makeSchedule(7, 60, 3), makeSchedule(7, 60, 3))
  t.notSame(makeSchedule(7, 60, 3), makeSchedule(8, 60, 3))
  t.end()
})

test('a schedule has every fault, keeps to its time, and hurts nobody twice at once', (t) => {
  const schedule = makeSchedule(7, 600, 3)
  t.strictSame([...new Set(schedule.map(({ name }) => name))].sort(), FAULT_NAMES.toSorted())
  for (const { at, ms } of schedule) if (at + ms > 600_000) t.fail('a fault ends too late')
  for (const instance of [0, 1, 2]) {
    const own = schedule.filter((fault) => fault.instance === instance && /an instance|the network|a reply|deafen/.test(fault.name))
    own.forEach(({ at }, i) => {
      const before = own[i - 1]
      if (before !== undefined && before.at + before.ms > at) t.fail(`two things at once at ${at}`)
    })
  }
  const stopped = schedule.filter(({ name }) => /timers|sleep/.test(name))
  stopped.forEach(({ at }, i) => {
    const before = stopped[i - 1]
    if (before !== undefined && before.at + before.ms > at) t.fail(`the clocks of the SDK clients are stopped twice at ${at}`)
  })
  t.ok(schedule.length > 300, `${schedule.length} faults in ten minutes`)
  t.end()
})
