import type { CloseReason } from '../protocol/close-codes.ts'

/** How frames leave for one client. Chunks are ready for the wire: whoever builds one knows the transport's encoding. */
export interface Transport {
  /** Whether chunks are still taken. */
  readonly open: boolean
  /** Bytes that were written and that the kernel has not taken yet. */
  readonly queued: number
  /** Whether the client has begun a message and not finished it. */
  readonly unfinished: boolean
  /** Writes a chunk; after the end it does nothing. */
  write (chunk: Buffer): void
  /** Resolves when the kernel has taken everything that was written, or will take no more. */
  drained (): Promise<void>
  /** Ends politely: says why, and destroys the connection when the client has not gone within the close timeout. */
  close (reason: CloseReason): void
  /** Ends at once. */
  terminate (): void
}
