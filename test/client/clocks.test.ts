import { type Test, test } from 'tap'
import { DISTURBANCES, type Disturbance, SITUATIONS, type SituationName, World } from './clocks.ts'

/**
 * The outcome of each situation, and behind it the reasons for which connections ended on a good network. A client whose machine
 * stands still for minutes loses its connection once, because the service closes it.
 */
const OUTCOMES: Record<SituationName, Record<'otherwise', string> & Partial<Record<Disturbance, string>>> = {
  'a publish whose answer is lost': {
    otherwise: 'acknowledged',
    'the machine sleeps for 6 minutes, and keeps its connection': 'unknown',
    'the machine sleeps for 6 minutes, and the service closes its connection': 'unknown, lost',
    // The client cannot tell this from a sleep.
    'the clock is set forward by an hour': 'unknown',
    'the process stands still for 3 minutes': 'acknowledged, lost'
  },
  'a publish that is not sent yet': { otherwise: 'acknowledged' },
  'a connection that is idle': {
    otherwise: 'idle',
    'the machine sleeps for 6 minutes, and the service closes its connection': 'idle, lost',
    'the process stands still for 3 minutes': 'idle, lost'
  },
  'a connection that is dead': { otherwise: 'noHeartbeat' },
  'a client that waits for its next attempt': { otherwise: 'connected' },
  'a token that is about to expire': {
    otherwise: 'asked again for a token, unauthorized',
    'the machine sleeps for 6 minutes, and the service closes its connection': 'asked again for a token, lost',
    'the process stands still for 3 minutes': 'asked again for a token, lost'
  },
  'a token function that hangs': {
    otherwise: 'asked 3 times for a token, unauthorized, token',
    // The wait for the function ends before the network is good again.
    'the process stands still for 3 minutes': 'asked 3 times for a token, unauthorized'
  },
  'a join without an answer': {
    otherwise: 'joined',
    'the machine sleeps for 6 minutes, and the service closes its connection': 'joined, lost',
    'the process stands still for 3 minutes': 'joined, lost'
  },
  'a history read without an answer': {
    otherwise: '1 message',
    'the machine sleeps for 6 minutes, and the service closes its connection': '1 message, lost',
    // These last longer than the read may.
    'the clock jumps back and forth': 'timeout',
    'timers are 30 s late': 'timeout',
    'the process stands still for 3 minutes': 'timeout, lost'
  }
}

for (const name of Object.keys(SITUATIONS) as SituationName[]) {
  test(`${name}, whatever the clock does`, async (t) => {
    const { begin } = SITUATIONS[name]
    await Promise.all(Object.entries(DISTURBANCES).map(async ([disturbance, disturb]) => {
      const world = await World.start(t)
      const finish = await begin(world)
      await disturb(world)
      const outcome = await finish()
      await world.conclude(t, disturbance)
      const { otherwise, [disturbance as Disturbance]: expected = otherwise } = OUTCOMES[name]
      t.equal([outcome, ...world.ends].join(', '), expected, disturbance)
    }))
  })
}

/** Starts a client that reads its missed messages from the history, because they are more than a page, and gets no answer. */
async function startReading (t: Test): Promise<World> {
  const world = await World.start(t)
  const { service } = world
  await world.cut()
  for (let i = 0; i < 400; i++) void service.publish('lobby', { data: i })
  await service.settle()
  service.refuse('unavailable', { match: ({ type }) => type === 'history' }) // The read is sent again later.
  await world.mend()
  for (let i = 0; i < 600 && world.client.status.state !== 'connected'; i++) await service.advance(100)
  return world
}

test('a client on a silent network reads its missed messages again, and reports no loss', async (t) => {
  const world = await startReading(t)
  await world.silence()
  await world.service.advance('2m')
  await world.mend()
  await world.conclude(t, 'silence')
})

test('a process that stands still while it reads its missed messages reads them again, and reports no loss', async (t) => {
  const world = await startReading(t)
  await world.standStill(() => { world.clock.stop() }, 180_000)
  await world.conclude(t, 'stop')
})

test('a client that gets no missed messages on a good network reports the loss in the end', async (t) => {
  const world = await startReading(t)
  world.service.refuse('unavailable', { times: Infinity, retryAfterMs: 60_000, match: ({ type }) => type === 'history' })
  await world.service.advance('5m')
  t.strictSame([world.room.state, world.seen], ['joined', ['reset history']])
})
