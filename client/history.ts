import type { ServerFrames } from '../src/protocol/frames.ts'
import type { Clock } from './clock.ts'
import { RoomcastError, toError } from './errors.ts'
import type { HistoryOptions } from './message.ts'
import { toJson } from './payload.ts'
import type { Requests } from './requests.ts'

/** The longest wait for missed messages, ms. It is longer than the time after which a silent link counts as dead. */
const CATCH_UP_MS = 60_000

/** The settings of history reads. */
export interface HistoryReadsOptions {
  clock: Clock
  requests: Requests
  /** The maximum of reads without an answer. */
  max: number
  /** The longest wait for an answer, also without a connection, ms. */
  timeoutMs: number
}

/** The reads of history without an answer. */
export class HistoryReads {
  readonly #options: HistoryReadsOptions
  readonly #rejects = new Set<(error: RoomcastError) => void>()

  constructor (options: HistoryReadsOptions) {
    this.#options = options
  }

  /**
   * Reads a page. Rejects with `queue_full` when too many reads are pending, and with `timeout` when there is no answer in time.
   *
   * @param isBounded `false` for a read of missed messages by the client itself: any number, and a longer wait
   */
  async read (room: string, options: HistoryOptions, isBounded = true): Promise<ServerFrames['history']> {
    const { clock, requests, max, timeoutMs } = this.#options
    const query = JSON.parse(toJson(options)) as HistoryOptions
    if (isBounded && this.#rejects.size >= max) {
      throw new RoomcastError('queue_full', 'Too many history reads wait for their answers; wait for some of them', { retryable: true })
    }
    return await new Promise((resolve, reject) => {
      const id = requests.add<'history'>({
        answer: 'history',
        room,
        isReady: () => true,
        prepare: (id) => ({ ...query, type: 'history', room, id }),
        onAnswer: (answer) => {
          end()
          if (answer.type === 'error') reject(toError(answer))
          else resolve(answer)
        }
      })
      const cancel = clock.after(isBounded ? timeoutMs : CATCH_UP_MS, () => {
        fail(new RoomcastError('timeout', `The history was not read within ${timeoutMs} ms; retry later`, { retryable: true }))
        requests.flush()
      })
      const end = (): void => {
        cancel()
        this.#rejects.delete(fail)
      }
      const fail = (error: RoomcastError): void => {
        requests.remove(id)
        end()
        reject(error)
      }
      this.#rejects.add(fail)
    })
  }

  /** Rejects all reads. */
  reject (error: RoomcastError): void {
    for (const fail of [...this.#rejects]) fail(error)
  }
}
