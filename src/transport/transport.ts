import type { CloseReason } from '../protocol/close-codes.ts'
import type { Position } from '../protocol/position.ts'
import type { Batch } from './batch.ts'

/** Carries frames to one client. */
export interface Transport {
  readonly kind: 'websocket' | 'events'
  /** Whether it still takes frames. */
  readonly open: boolean
  /** The send queue: written bytes that the kernel has not taken yet. */
  readonly queued: number
  /** Whether the client has begun a message and not finished it. */
  readonly unfinished: boolean
  /** Whether the client answers pings, so that its silence means a lost connection. */
  readonly answers: boolean
  /** Writes frames about a room; after the end it does nothing. */
  write (batch: Batch): void
  /** Moves the client's position in a room past messages that exclude the connection. */
  skipTo (room: string, position: Position): void
  /** Writes one frame, as its JSON; after the end it does nothing. */
  send (type: string, json: string): void
  /** Writes a ping or a comment, which keeps the connection alive. */
  ping (): void
  /** Resolves when the kernel has taken everything that was written, or will take no more. */
  drained (): Promise<void>
  /** Closes the connection with a reason, and destroys it if the client does not close it within the close timeout. */
  close (reason: CloseReason): void
  /** Destroys the connection. */
  terminate (): void
}
