import type { Broker, HistoryPage, HistoryQuery } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'

/** Reads under way at once: many come back at once, and publishes are to get through between them. */
const MAX_UNDER_WAY = 16
/** A read that has not begun by then is given up, ms: the ones before it are not answered either. */
const PATIENCE_MS = 2_000

/** A read that has not begun, for everybody who asked for the same. */
interface Waiting {
  readonly page: Promise<HistoryPage>
  readonly begin: () => void
}

/**
 * All reads of history that this node makes. Equal ones are made once, as long as that has not begun: who asks
 * gets what history holds at that moment or later, never what it held before.
 */
export class HistoryReads {
  readonly #broker: Broker
  /** In the order in which they were asked for. */
  readonly #waiting = new Map<string, Waiting>()
  readonly #underWay = new Set<string>()

  constructor (broker: Broker) {
    this.#broker = broker
  }

  /** See `Broker.history`; `unavailable` also when too many are waiting for too long. */
  async read (room: string, query: HistoryQuery): Promise<HistoryPage> {
    const key = JSON.stringify([room, query.after, query.before, query.epoch, query.limit, query.maxBytes])
    let waiting = this.#waiting.get(key)
    if (waiting === undefined) {
      waiting = this.#wait(key, room, query)
      this.#waiting.set(key, waiting)
      this.#beginNext()
    }
    return await waiting.page
  }

  #wait (key: string, room: string, query: HistoryQuery): Waiting {
    let begin = (): void => {}
    const page = new Promise<HistoryPage>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(key)
        reject(new RoomcastError('unavailable', 'Too much history is being read; try again', PATIENCE_MS))
      }, PATIENCE_MS)
      begin = () => {
        clearTimeout(timer)
        this.#broker.history(room, query).then(resolve, reject).finally(() => {
          this.#underWay.delete(key)
          this.#beginNext()
        })
      }
    })
    return { page, begin }
  }

  #beginNext (): void {
    for (const [key, { begin }] of this.#waiting) {
      if (this.#underWay.size >= MAX_UNDER_WAY) return
      if (this.#underWay.has(key)) continue // It began before this one was asked for.
      this.#waiting.delete(key)
      this.#underWay.add(key)
      begin()
    }
  }
}
