import type { RoomcastError } from '../errors.ts'

/** The longest pause before the second attempt, and before any, ms: it doubles, and of it a random part is waited. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000

/** The service remembers keys for 5 minutes; an attempt after that could be a second message. */
const LONGEST_GIVE_UP_MS = 240_000

/** What came of an attempt that did not succeed. */
export class Failure {
  readonly error: RoomcastError
  /** Whether another attempt may succeed. */
  readonly isWorthRetrying: boolean
  /** Whether the service may have done all the same what it was asked for. */
  readonly mayBeDone: boolean

  constructor (error: RoomcastError, { isWorthRetrying = false, mayBeDone = false } = {}) {
    this.error = error
    this.isWorthRetrying = isWorthRetrying
    this.mayBeDone = mayBeDone
  }
}

/** How long something is tried. */
export interface Patience {
  /** For one attempt, ms. */
  timeoutMs: number
  /** For all attempts, ms; no more than 4 minutes count. */
  giveUpMs: number
  /** Ends it before. */
  signal: AbortSignal | undefined
}

/**
 * Makes attempts until one succeeds, is not worth another, or the time is over: the last failure, then. Rejects with
 * the reason of `signal` when that aborts.
 */
export async function retry<T> (attempt: (signal: AbortSignal) => Promise<T | Failure>, { timeoutMs, giveUpMs, signal }: Patience): Promise<T | Failure> {
  const deadline = performance.now() + Math.min(giveUpMs, LONGEST_GIVE_UP_MS)
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const result = await within(Math.min(timeoutMs, deadline - performance.now()), signal, attempt)
    if (!(result instanceof Failure)) return result
    signal?.throwIfAborted()
    if (!result.isWorthRetrying) return result
    // Many may have been told the same time.
    const waitMs = (result.error.retryAfterMs ?? 0) + Math.random() * pauseMs
    if (performance.now() + waitMs >= deadline) return result
    await pause(waitMs, signal)
  }
}

/** What a promise resolves to, unless the signal aborts before; rejects with its reason, then. */
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

/** Not AbortSignal.any and AbortSignal.timeout: a signal that lives long would collect listeners, and timers would stay. */
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
