import { Age, systemClock } from '../clock.ts'
import type { RoomcastError } from '../errors.ts'

/** The bound of the random pause before the second attempt, ms. It doubles with each attempt, up to the other one. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000

/** The maximum for all attempts, ms. The service remembers keys for five minutes; a later attempt might publish a duplicate. */
const LONGEST_GIVE_UP_MS = 240_000

/** The failure of an attempt. */
export class Failure {
  readonly error: RoomcastError
  /** Whether another attempt may succeed. */
  readonly isWorthRetrying: boolean
  /** Whether the request may still have succeeded. */
  readonly mayBeDone: boolean

  constructor (error: RoomcastError, { isWorthRetrying = false, mayBeDone = false } = {}) {
    this.error = error
    this.isWorthRetrying = isWorthRetrying
    this.mayBeDone = mayBeDone
  }
}

/** The limits of the attempts at a request. */
export interface Patience {
  /** The time for one attempt, ms. */
  timeoutMs: number
  /** The time for all attempts, ms; at most 4 minutes. */
  giveUpMs: number
  /** Ends the attempts early. */
  signal: AbortSignal | undefined
}

/**
 * Makes attempts until one succeeds, a failure rules out another one, or the time is over. Resolves with the last result.
 * Rejects with the reason of `signal` when the signal aborts.
 */
export async function retry<T> (
  attempt: (signal: AbortSignal) => Promise<T | Failure>,
  { timeoutMs, giveUpMs, signal }: Patience
): Promise<T | Failure> {
  const longestMs = Math.min(giveUpMs, LONGEST_GIVE_UP_MS)
  const age = new Age(systemClock)
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const result = await within(Math.min(timeoutMs, longestMs - age.ms), signal, attempt)
    if (!(result instanceof Failure)) return result
    signal?.throwIfAborted()
    if (!result.isWorthRetrying) return result
    // The service may have given many callers the same time.
    const waitMs = (result.error.retryAfterMs ?? 0) + Math.random() * pauseMs
    if (age.ms + waitMs >= longestMs) return result
    await pause(waitMs, signal)
    // The machine may have slept, and the timer with it.
    if (age.ms >= longestMs) return result
  }
}

/** Settles like a promise, or rejects with the reason of a signal that aborts first. */
export async function unlessAborted<T> (promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => {}
  const aborted = new Promise<void>((resolve) => {
    abort = resolve
    signal.addEventListener('abort', abort)
    if (signal.aborted) abort()
  })
  try {
    return await Promise.race([promise, aborted.then((): never => {
      const { reason } = signal
      throw reason
    })])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Makes an attempt with a timeout. AbortSignal.any would leave listeners on a long-lived signal, AbortSignal.timeout a timer. */
async function within<T> (ms: number, signal: AbortSignal | undefined, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
  signal?.throwIfAborted()
  const controller = new AbortController()
  const abort = (): void => { controller.abort(signal?.reason) }
  const timer = setTimeout(() => { controller.abort(new Error(`There was no answer within ${Math.round(ms)} ms`)) }, ms)
  signal?.addEventListener('abort', abort)
  try {
    return await attempt(controller.signal)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

async function pause (ms: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const over = new Promise<void>((resolve) => { timer = setTimeout(resolve, ms) })
  try {
    await (signal === undefined ? over : unlessAborted(over, signal))
  } finally {
    clearTimeout(timer)
  }
}
