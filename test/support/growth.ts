const SIZE = 4_096
const FACTOR = 8
/** The least CPU time of one measurement, μs. */
const LEAST_US = 500
/** A growth that is measured again, because another load on the machine may be the reason. */
const SUSPICIOUS = 12
const ROUNDS = 20

/**
 * The CPU time of a call with an input of 32 KB, divided by that with one of 4 KB: about 8 for linear time, 64 for quadratic
 * time.
 *
 * @param make makes an input of about `size` characters
 */
export function growthOf<T> (call: (input: T) => unknown, make: (size: number) => T): number {
  const [short, long] = [make(SIZE), make(SIZE * FACTOR)]
  let calls = FACTOR
  while (measure(call, short, calls) < LEAST_US) calls *= 2
  const best = { short: Infinity, long: Infinity }
  for (let round = 0; round < ROUNDS; round++) {
    best.short = Math.min(best.short, measure(call, short, calls) / calls)
    best.long = Math.min(best.long, measure(call, long, calls / FACTOR) / (calls / FACTOR))
    if (best.long / best.short < SUSPICIOUS) break
  }
  return best.long / best.short
}

/** The CPU time of some calls, μs. */
function measure<T> (call: (input: T) => unknown, input: T, calls: number): number {
  const start = process.cpuUsage()
  for (let i = 0; i < calls; i++) {
    try {
      call(input)
    } catch {} // A refusal takes its time as well.
  }
  const { user, system } = process.cpuUsage(start)
  return user + system
}
