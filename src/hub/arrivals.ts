import type { Position } from '../protocol/position.ts'

/**
 * Time for a message to arrive in its room on this instance before an answer about it leaves all the same, ms. A broker
 * with a network may answer a publish or a read of history before it delivers the message.
 */
export const ARRIVAL_MS = 1_000
/** Looks in that time. Looks are counted instead of time, because a blocked event loop receives no message. */
const LOOKS = 4

/** A step, and the position that it waits for. */
interface Waiting {
  readonly position: Position
  /** The look at which the step runs in any case. */
  readonly lastLook: number
  readonly run: () => void
}

/** Steps of a room that wait until a position arrives there, at most `ARRIVAL_MS`. They run in the order of the calls. */
export class Arrivals {
  readonly #waiting: Waiting[] = []
  /** Number of looks. */
  #looks = 0
  /** Set while a step waits. */
  #timer: NodeJS.Timeout | undefined

  /**
   * Runs a step behind a position and behind all earlier steps; resolves afterwards.
   *
   * @param delivered the latest position that has arrived
   */
  async wait (position: Position, delivered: Position | undefined, step: () => void): Promise<void> {
    if (this.#waiting.length === 0 && isReached(position, delivered)) {
      step()
      return
    }
    await new Promise<void>((resolve) => {
      const run = (): void => {
        step()
        resolve()
      }
      this.#waiting.push({ position, lastLook: this.#looks + LOOKS, run })
      this.#timer ??= this.#lookSoon()
    })
  }

  /** Runs the steps up to a position that has arrived. */
  arrived (position: Position): void {
    this.#run((waiting) => isReached(waiting.position, position))
  }

  /** Runs the steps up to a position that a `reset` continues from. The messages of other epochs do not arrive any more. */
  reset (position: Position): void {
    this.#run((waiting) => waiting.position.epoch !== position.epoch || isReached(waiting.position, position))
  }

  /** Runs all steps: no member is left to keep an order for. */
  abandon (): void {
    this.#run(() => true)
  }

  /** Runs the first steps, as long as they are due. A step may cause calls of this method. */
  #run (isDue: (waiting: Waiting) => boolean): void {
    for (let first = this.#waiting[0]; first !== undefined && isDue(first); first = this.#waiting[0]) {
      this.#waiting.shift()
      first.run()
    }
  }

  #lookSoon (): NodeJS.Timeout {
    return setTimeout(() => {
      this.#looks++
      this.#run(({ lastLook }) => lastLook <= this.#looks)
      this.#timer = this.#waiting.length === 0 ? undefined : this.#lookSoon()
    }, ARRIVAL_MS / LOOKS).unref()
  }
}

/** Whether a room that has delivered one position has delivered another one, too. */
function isReached (position: Position, delivered: Position | undefined): boolean {
  return position.epoch === delivered?.epoch && position.offset <= delivered.offset
}
