import { IDEMPOTENCY_MS, type Published } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'
import { CallerTable } from './caller-table.ts'

/** The period whose keys are counted together, ms. A key counts for up to this much longer than it is remembered. */
const SLOT_MS = 5_000

/** The keys of one period. */
interface Slot {
  /** Instant at which the last key of the period is forgotten, ms on the clock of `performance.now`. */
  until: number
  keys: number
}

/** The limit of the idempotency keys that are remembered for one caller. Beyond it, new keys are refused and known ones replay. */
export class KeyLimit {
  readonly #max: number
  /** For each caller, the slots that have not expired, oldest first. */
  readonly #callers = new CallerTable<Slot[]>(() => [], (slots) => (slots.at(-1)?.until ?? 0) <= performance.now())

  /** @param max keys of one caller; 0 is no limit */
  constructor (max: number) {
    this.#max = max
  }

  /** Number of callers in memory. */
  get callers (): number {
    return this.#callers.size
  }

  /**
   * Makes a publish with a key, and counts the key if the broker remembers it now.
   *
   * @param publish takes the refusal of a new key, if the caller has as many as it may
   */
  async count (user: string, publish: (refusal: RoomcastError | undefined) => Promise<Published>): Promise<Published> {
    if (this.#max === 0) return await publish(undefined)
    const slot = this.#take(user)
    if (slot instanceof RoomcastError) return await publish(slot)
    try {
      const published = await publish(undefined)
      if (published.replayed) slot.keys--
      return published
    } catch (error) {
      // After an unknown outcome, the broker may remember the key.
      if (!(error instanceof RoomcastError && error.code === 'publish_unknown')) slot.keys--
      throw error
    }
  }

  /** Counts a key before its publish, so that concurrent publishes cannot exceed the limit. */
  #take (user: string): Slot | RoomcastError {
    const slots = this.#callers.of(user)
    const now = performance.now()
    while (slots[0] !== undefined && slots[0].until <= now) slots.shift()
    if (slots.reduce((sum, { keys }) => sum + keys, 0) >= this.#max) {
      const until = slots.find(({ keys }) => keys > 0)?.until ?? now
      return new RoomcastError('rate_limited', 'You use too many new idempotency keys; retry later', Math.ceil(until - now))
    }
    const until = (Math.floor(now / SLOT_MS) + 1) * SLOT_MS + IDEMPOTENCY_MS
    let slot = slots.at(-1)
    if (slot?.until !== until) slots.push(slot = { until, keys: 0 })
    slot.keys++
    return slot
  }
}
