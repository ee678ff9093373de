import type { Broker, HistoryPage, HistoryQuery } from '../broker/broker.ts'
import { RoomcastError } from '../errors.ts'

/** Messages on a page of history for a client, at most. */
export const PAGE_MESSAGES = 300
/** Bytes of messages on such a page where send queues have no limit. */
const PAGE_BYTES = 512 * 1024
/** Concurrent reads: many clients reconnect at once, and publishes must get through between their reads. */
const MAX_CONCURRENT = 16
/** Time until a waiting read is refused, ms: the reads before it are not answered either. */
const PATIENCE_MS = 2_000

/** A read that has not begun, shared by all callers of an identical read. */
interface Waiting {
  readonly page: Promise<HistoryPage>
  readonly begin: () => void
}

/**
 * All reads of history by this instance. Identical reads are shared until they begin: a caller gets the history of the
 * moment of its call or later, never an earlier one.
 */
export class HistoryReads {
  /** Bytes of messages on a page of history for a client, at most. */
  readonly pageBytes: number
  readonly #broker: Broker
  /** In the order of the calls. */
  readonly #waiting = new Map<string, Waiting>()
  readonly #running = new Set<string>()

  /** @param pageBytes bytes of messages on a page for a client: half a send queue, so that a page never makes a slow consumer */
  constructor (broker: Broker, pageBytes = PAGE_BYTES) {
    this.#broker = broker
    this.pageBytes = pageBytes
  }

  /** Reads a page, see `Broker.history`; throws `unavailable` also if the read does not begin in time. */
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
        reject(new RoomcastError('unavailable', 'Too much history is being read; retry', PATIENCE_MS))
      }, PATIENCE_MS)
      begin = () => {
        clearTimeout(timer)
        this.#broker.history(room, query).then(resolve, reject).finally(() => {
          this.#running.delete(key)
          this.#beginNext()
        })
      }
    })
    return { page, begin }
  }

  #beginNext (): void {
    for (const [key, { begin }] of this.#waiting) {
      if (this.#running.size >= MAX_CONCURRENT) return
      if (this.#running.has(key)) continue // That read began before this call.
      this.#waiting.delete(key)
      this.#running.add(key)
      begin()
    }
  }
}
