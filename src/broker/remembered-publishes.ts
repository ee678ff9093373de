import { RoomcastError } from '../errors.ts'
import { IDEMPOTENCY_MS, type Idempotency, type Published } from './broker.ts'
import { LruMap } from './lru-map.ts'

interface Remembered {
  fingerprint: string
  published: Published
  /** Instant until which it is remembered, ms since 1970. */
  until: number
}

/** The results of publishes with a key, in memory. Each is remembered for five minutes, and never for less. */
export class RememberedPublishes {
  /** In the order of their expiry. */
  readonly #publishes = new LruMap<string, Remembered>()

  /** Finds the earlier result of a publish; throws the refusal of a publish that may not go on. */
  replay (room: string, { id, fingerprint, refusal }: Idempotency, now: number): Published | undefined {
    const earlier = this.#publishes.get(nameOf(room, id))
    if (earlier === undefined || earlier.until <= now) {
      if (refusal !== undefined) throw refusal
      return undefined
    }
    if (earlier.fingerprint !== fingerprint) throw new RoomcastError('idempotency_conflict')
    return { ...earlier.published, replayed: true }
  }

  /** Remembers the result of a publish. */
  add (room: string, { id, fingerprint }: Idempotency, published: Published, now: number): void {
    this.#publishes.set(nameOf(room, id), { fingerprint, published, until: now + IDEMPOTENCY_MS })
    this.forget(now)
  }

  /** Forgets the publishes whose time is over. */
  forget (now: number): void {
    for (let oldest; (oldest = this.#publishes.oldest) !== undefined;) {
      const [name, { until }] = oldest
      if (until > now) return
      this.#publishes.delete(name)
    }
  }
}

function nameOf (room: string, id: string): string {
  return `${room}\n${id}`
}
