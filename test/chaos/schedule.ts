import { Random } from './random.ts'

/** What is done to the service, and for how long at the least and at the most, ms. */
const FAULTS = {
  'kill the pub/sub connections': { of: 'nothing', ms: [0, 0] },
  'kill the command connections': { of: 'nothing', ms: [0, 0] },
  'freeze Redis': { of: 'redis', ms: [500, 6_000] },
  'kill Redis, start it again': { of: 'redis', ms: [100, 3_000] },
  'cut the network to Redis': { of: 'instance', ms: [100, 4_000] },
  'delay the network to Redis': { of: 'instance', ms: [500, 4_000] },
  'hold the network to Redis': { of: 'instance', ms: [500, 7_000] },
  'deafen the pub/sub connection': { of: 'instance', ms: [10_000, 10_000] },
  'swallow a reply of Redis': { of: 'instance', ms: [50, 50] },
  'kill an instance, start another': { of: 'instance', ms: [300, 1_500] },
  'drain an instance, start another': { of: 'instance', ms: [1_500, 2_500] },
  'freeze an instance': { of: 'instance', ms: [500, 7_000] },
  'drop connections of clients': { of: 'nothing', ms: [0, 0] },
  'set the clock of SDK clients forward': { of: 'nothing', ms: [0, 0] },
  'set the clock of SDK clients back': { of: 'nothing', ms: [0, 0] },
  'stop the timers of SDK clients': { of: 'timers', ms: [500, 6_000] },
  'put SDK clients to sleep': { of: 'timers', ms: [500, 6_000] }
} as const satisfies Record<string, { of: 'redis' | 'instance' | 'timers' | 'nothing', ms: [number, number] }>

export type FaultName = keyof typeof FAULTS
export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[]

/** One thing that is done. */
export interface Fault {
  name: FaultName
  /** Since the start, ms. */
  at: number
  ms: number
  /** The instance it is done to, where it is done to one. */
  instance: number
  /** The ms of a delay, the seconds of a clock, or a number that chooses clients. */
  amount: number
}

/** Between two faults, at the least and at the most, ms: they overlap. */
const PAUSE_MS = [100, 1_500] as const
/** Nothing is done before this: everybody is to have come, ms. */
const START_MS = 1_500

/** What is done in how many seconds to how many instances: the same for the same seed, and never two things to one victim at once. */
export function makeSchedule (seed: number, seconds: number, instances: number): Fault[] {
  const random = new Random(seed)
  const faults: Fault[] = []
  /** Until when each victim is busy, ms since the start. */
  const busy = new Map<string, number>()
  const end = seconds * 1_000
  for (let at = START_MS; at < end; at += random.between(...PAUSE_MS)) {
    const name = random.pick(FAULT_NAMES)
    const { of, ms: [least, most] } = FAULTS[name]
    const fault = { name, at, ms: random.between(least, most), instance: random.between(0, instances - 1), amount: random.between(20, 400) }
    const victim = of === 'instance' ? `instance ${fault.instance}` : of
    if (at + fault.ms > end || (victim !== 'nothing' && (busy.get(victim) ?? 0) > at)) continue
    busy.set(victim, at + fault.ms + 500)
    faults.push(fault)
  }
  return faults
}
