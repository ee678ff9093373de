import { type Test, test } from 'tap'
import { Random } from '../chaos/random.ts'
import { World } from './clocks.ts'

/** Random events of one course. */
const STEPS = 150

/** A clock that is set back hides a sleep, and no client can tell: so a course has either the one or the other. */
type Kind = 'set back' | 'asleep'

for (const [kind, seed] of [['set back', 1], ['set back', 2], ['asleep', 3], ['asleep', 4]] as const) {
  test(`nothing is lost or doubled while a clock is ${kind} again and again, with seed ${seed}`, async (t) => {
    const random = new Random(seed)
    replaceMathRandom(t, seed)
    const world = await World.start(t)
    const outcomes: Promise<string>[] = []
    for (let i = 0; i < STEPS; i++) {
      if (random.next() < 0.3) outcomes.push(world.publish(`own ${i}`))
      await random.pick(EVENTS[kind])(world, random, i)
    }
    await world.calm()
    await world.conclude(t, kind)
    const codes = new Set(await Promise.all(outcomes))
    t.strictSame([...codes].sort(), ['acknowledged', 'unknown'], 'publishes have both outcomes, and no other one')
    t.ok(world.ends.length > 0)
    t.notOk(world.ends.includes('noHeartbeat'), 'no connection is given up on a good network')
  })
}

type Event = (world: World, random: Random, i: number) => unknown

const COMMON: Event[] = [
  async ({ service }, _random, i) => await service.publish('lobby', { data: `backend ${i}` }),
  async (world) => { await world.loseAnswers() },
  async (world) => { await world.cut() },
  async (world) => { await world.silence() },
  async (world) => { await world.mend() },
  async ({ service }) => { await service.restart() },
  ({ clock }) => { clock.stop() },
  ({ clock }) => { clock.go() },
  ({ clock }, random) => { clock.delay(random.between(0, 30_000)) },
  ({ clock }, random) => { clock.jump(someTime(random)) },
  async ({ service }, random) => { await service.advance(random.between(1, 20_000)) },
  async ({ service }, random) => { await service.advance(random.between(20_000, 100_000)) },
  async (world) => { await world.interrupt() }
]

const EVENTS: Record<Kind, Event[]> = {
  'set back': [...COMMON, ({ clock }, random) => { clock.jump(-someTime(random)) }],
  asleep: [
    ...COMMON,
    async ({ service }, random) => { await service.sleep(someTime(random)) },
    async (world, random) => { await world.standStill(() => { world.clock.sleep() }, someTime(random)) }
  ]
}

/** Seconds as often as minutes, ms. */
function someTime (random: Random): number {
  return random.between(0, random.pick([10_000, 400_000]))
}

/** The waits before reconnects are random, too. */
function replaceMathRandom (t: Test, seed: number): void {
  const { random } = Math
  const own = new Random(seed)
  Math.random = () => own.next()
  t.teardown(() => { Math.random = random })
}
