import { test } from 'tap'
import type { SentFrame } from '../../client/link.ts'
import { Outbox } from '../../client/outbox.ts'
import { Requests } from '../../client/requests.ts'
import { Allowance } from '../../src/callers/allowance.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { Random } from '../chaos/random.ts'

/** Limits of the service, and the work of a client. */
interface Case {
  rate: number
  burst: number
  rooms: number
  publishes: number
  roundTripMs: number
  /** Timers fire up to this late, ms. */
  lateMs: number
}

interface Outcome {
  settled: boolean
  /** The time that the work took, and that the service's limits allow for it, s. */
  seconds: number
  possible: number
  frames: number
  refused: number
  closed: boolean
}

/** Runs a client's joins and publishes against the allowances of a service, over a line with a delay. */
async function run (seed: number, given: Case): Promise<Outcome> {
  const { rate, burst, rooms, publishes, roundTripMs, lateMs } = given
  const generator = new Random(seed)
  const random = (): number => generator.next()
  const clock = new ManualClock()
  const { now } = performance
  const { random: systemRandom } = Math
  performance.now = () => clock.now()
  Math.random = random
  try {
    const allowances = { messages: new Allowance(rate, burst), control: new Allowance(10 * rate, 10 * burst) }
    const outcome: Outcome = { settled: false, seconds: 0, possible: 0, frames: 0, refused: 0, closed: false }
    const joined = new Set<string>()
    const late = { ...bind(clock), after: (ms: number, callback: () => void) => clock.after(ms + random() * lateMs, callback) }
    const answer = (frame: SentFrame): void => {
      const { id, type } = frame as Extract<SentFrame, { room: string }>
      const room = (frame as { room: string }).room
      const allowance = allowances[type === 'publish' ? 'messages' : 'control']
      const result = allowance.take()
      outcome.frames++
      if (result === 'abused') outcome.closed = true
      if (result !== 'granted') outcome.refused++
      const { retryAfterMs } = allowance
      clock.after(roundTripMs / 2, () => {
        if (result !== 'granted') requests.take({ type: 'error', id, code: 'rate_limited', text: '', retryable: true, retryAfterMs })
        else if (type === 'publish') requests.take({ type: 'ack', id, room })
        else requests.take({ type: 'joined', id, room, audience: 1 })
      })
    }
    const requests = new Requests(late, (frame) => { clock.after(roundTripMs / 2, () => { answer(frame) }) }, () => {})
    const outbox = new Outbox({ clock: late, requests, max: publishes + 1, isJoined: (room) => joined.has(room), onPassed: () => {} })
    requests.onOpen(false)
    const work: Promise<unknown>[] = []
    for (let i = 0; i < rooms; i++) {
      const room = `r${i}`
      work.push(new Promise<void>((resolve) => {
        requests.add<'joined'>({
          answer: 'joined',
          room,
          isReady: () => true,
          prepare: (id) => ({ type: 'join', room, id }),
          onAnswer: () => { joined.add(room); resolve() }
        })
      }))
    }
    for (let i = 0; i < publishes; i++) work.push(outbox.publish(`r${i % rooms}`, i, { key: `k${i}` }))
    void Promise.all(work).then(() => { outcome.settled = true }, () => {})
    const beganAt = clock.now()
    const possible = Math.max((rooms - 10 * burst) / (10 * rate), (publishes - burst) / rate, 0)
    outcome.possible = possible
    for (let i = 0; !outcome.settled && clock.now() - beganAt < 1_000 * (20 + 5 * possible); i++) {
      const isIdle = clock.next === Infinity
      if (!isIdle) clock.tick(clock.next)
      if (i % 50 === 0 || isIdle) await new Promise(setImmediate)
    }
    outcome.seconds = (clock.now() - beganAt) / 1_000
    return outcome
  } finally {
    performance.now = now
    Math.random = systemRandom
  }
}

function bind (clock: ManualClock): { now: () => number, wall: () => number } {
  return { now: () => clock.now(), wall: () => clock.wall() }
}

test('whatever the limits are, all joins and publishes settle at the rate that is allowed, with few refusals', async (t) => {
  const seeds = Number(process.env.PACING_CASES ?? 60)
  for (let seed = 1; seed <= seeds; seed++) {
    const generator = new Random(seed)
    const random = (): number => generator.next()
    const pick = (low: number, high: number): number => Math.round(low * (high / low) ** random())
    const rate = pick(1, 500)
    const given = {
      rate,
      // Below that, a frame that is a moment late loses its token.
      burst: pick(2 + rate / 50, 2 * rate + 2),
      rooms: pick(1, 2_500),
      publishes: pick(1, 40 * rate),
      roundTripMs: pick(1, 300),
      lateMs: pick(1, 16)
    }
    const { settled, seconds, possible, frames, refused, closed } = await run(seed, given)
    const name = `${JSON.stringify({ seed, ...given })}: ${seconds.toFixed(1)} of ${possible.toFixed(1)} s, ${refused} of ${frames} refused`
    t.ok(settled && !closed, name)
    // The first answers take a round trip, and the first refusals teach the rate.
    const begin = 3 + 10 * given.roundTripMs / 1_000 + 2 / rate
    t.ok(seconds - begin <= possible / 0.9, `at least 90 % of the rate: ${name}`)
    t.ok(refused <= 400 + frames * 0.2, `no storm: ${name}`)
  }
})
