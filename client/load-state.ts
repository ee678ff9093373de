import type { Clock } from './clock.ts'
import type { Position } from './position.ts'
import type { Load } from './room-events.ts'

/** The bounds of the wait before the application's state is loaded again after a failure, ms. */
const RETRY_MS = 1_000
const MAX_RETRY_MS = 30_000

/** The call of a function that loads the application's state. */
export interface LoadCall {
  load: Load
  position: Position | undefined
  signal: AbortSignal
  clock: Clock
  /** Receives what the function throws. */
  onFailure: (error: unknown) => void
}

/** Calls the function until it succeeds, or the signal aborts. Resolves with the position that it returns. */
export async function loadState ({ load, position, signal, clock, onFailure }: LoadCall): Promise<Position | undefined> {
  for (let ms = RETRY_MS; !signal.aborted; ms = Math.min(MAX_RETRY_MS, 2 * ms)) {
    try {
      return await load(position, { signal }) ?? undefined
    } catch (error) {
      if (signal.aborted) break
      onFailure(error)
      await new Promise<void>((resolve) => {
        const cancel = clock.after(ms * (0.5 + Math.random() / 2), resolve)
        signal.addEventListener('abort', () => {
          cancel()
          resolve()
        })
      })
    }
  }
}
