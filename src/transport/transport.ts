import type { CloseReason } from '../protocol/close-codes.ts'
import type { Batch } from './batch.ts'

/** How frames leave for one client. */
export interface Transport {
  readonly kind: 'websocket' | 'events'
  /** Whether frames are still taken. */
  readonly open: boolean
  /** Bytes that were written and that the kernel has not taken yet. */
  readonly queued: number
  /** Whether the client has begun a message and not finished it. */
  readonly unfinished: boolean
  /** Whether the client answers pings, and its silence means that it is gone. */
  readonly answers: boolean
  /** Writes frames about a room; after the end it does nothing. */
  write (batch: Batch): void
  /** Writes one frame, as its JSON; after the end it does nothing. */
  send (type: string, json: string): void
  /** Writes something that keeps the connection alive. */
  ping (): void
  /** Resolves when the kernel has taken everything that was written, or will take no more. */
  drained (): Promise<void>
  /** Ends politely: says why, and destroys the connection when the client has not gone within the close timeout. */
  close (reason: CloseReason): void
  /** Ends at once. */
  terminate (): void
}
