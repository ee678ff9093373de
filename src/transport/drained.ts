import type { Writable } from 'node:stream'

/** Resolves when the kernel has taken all that was written to a stream, or will take no more. */
export async function drained (stream: Writable): Promise<void> {
  if (stream.destroyed || !stream.writableNeedDrain) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('close', done)
      resolve()
    }
    stream.on('drain', done).on('close', done)
  })
}
