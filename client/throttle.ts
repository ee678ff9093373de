import type { ServerFrames } from '../src/protocol/frames.ts'
import { readDelay } from './delay.ts'
import { Pace } from './pace.ts'
import type { Kind } from './requests.ts'

/** The wait before the first retry of a refused frame, ms, unless the service names one; it doubles with each further refusal. */
const RETRY_MS = 500
const MAX_RETRY_MS = 30_000

/** The refusals of a room's requests in a row, and the time before which none is sent. */
interface Hold { refusals: number, until: number }

/**
 * The waits of requests after refusals. A refusal for the rate holds all requests, so that none adds to the excess, and teaches
 * the pace. Another refusal holds its room, so that no later request of the room overtakes the refused one. All times are in ms.
 */
export class Throttle {
  readonly #paces = { messages: new Pace(), control: new Pace() }
  readonly #holds = new Map<string, Hold>()
  /** The refusals for the rate begin a round; a refusal of a frame that was sent in an earlier round tells nothing new. */
  round = 0
  /** The refusals for the rate in a row, and the time before which nothing is sent. */
  #refusals = 0
  #heldUntil = 0
  /** The wait behind the named one in this round. */
  #extraMs = 0

  /** The wait before a frame may be sent to any room; 0 for now. */
  wait (kind: Kind, now: number): number {
    return Math.max(0, this.#heldUntil - now, this.#paces[kind].wait(now))
  }

  /** The wait before a request of a room may be sent. */
  waitForRoom (room: string, now: number): number {
    return Math.max(0, (this.#holds.get(room)?.until ?? 0) - now)
  }

  /** A frame was sent. */
  spend (kind: Kind): void {
    this.#paces[kind].spend()
  }

  /** No frame waits. */
  rest (kind: Kind): void {
    this.#paces[kind].rest()
  }

  /** A frame was accepted that was sent in a round. */
  accept (kind: Kind, room: string, round: number): void {
    this.#holds.delete(room)
    this.#paces[kind].accept()
    if (round === this.round) this.#refusals = 0
  }

  /** A frame was refused for now that was sent in a round. Returns how long nothing is sent; 0 where only the room waits. */
  refuse (kind: Kind, room: string, { code, retryAfterMs }: ServerFrames['error'], round: number, now: number): number {
    const named = readDelay(retryAfterMs)
    if (code !== 'rate_limited') {
      const { refusals, until } = this.#holds.get(room) ?? { refusals: 0, until: 0 }
      // Requests that were under way together are refused together.
      if (until <= now) this.#holds.set(room, { refusals: refusals + 1, until: now + (named ?? 0) + backoff(refusals) })
      return 0
    }
    const at = now + (named ?? RETRY_MS)
    if (round === this.round) {
      this.round++
      // A rate that is shared may be used up by others: only then do refusals follow without an accepted frame in between.
      this.#extraMs = this.#refusals > 0 ? backoff(this.#refusals - 1) : 0
      this.#refusals++
      this.#paces[kind].refuse(now, at)
      this.rest(kind === 'messages' ? 'control' : 'messages')
    } else this.#paces[kind].delay(at)
    const ms = (at - now) * (1 + Math.random() / 20) + this.#extraMs
    this.#heldUntil = Math.max(this.#heldUntil, now + ms)
    return this.#heldUntil - now
  }

  /** The link has ended. */
  onDown (): void {
    this.#holds.clear()
    this.rest('messages')
    this.rest('control')
  }
}

/** A random wait before a retry, ms. */
function backoff (refusals: number): number {
  return Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** refusals) * (0.5 + Math.random() / 2)
}
