import { RoomcastError } from '../errors.ts'
import { COMMAND_TIMEOUT_MS, RequestFailed } from '../redis/request.ts'

/**
 * Turns a failed request into the error that callers of the broker get.
 *
 * @param publishes whether the request publishes, so that an uncertain failure is `publish_unknown`
 */
export async function available<T> (request: Promise<T>, publishes = false): Promise<T> {
  try {
    return await request
  } catch (error) {
    if (!(error instanceof RequestFailed)) throw error
    throw publishes && error.uncertain
      ? new RoomcastError('publish_unknown', 'It may have been published or not; try again with the same key')
      : unavailable()
  }
}

/** Waits for an answer, at most for a time, ms; rejects with `unavailable` after that. */
export async function within<T> (ms: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  return await Promise.race([
    available(answer),
    new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => { reject(unavailable()) }, ms)
    })
  ]).finally(() => { clearTimeout(timer) })
}

function unavailable (): RoomcastError {
  return new RoomcastError('unavailable', 'The rooms cannot be reached; try again', COMMAND_TIMEOUT_MS)
}
