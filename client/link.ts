import type { ClientFrames, ServerFrame } from '../src/protocol/frames.ts'
import type { Clock } from './clock.ts'

/** A frame with an id, which its answer repeats. */
type Numbered<Type extends keyof ClientFrames> = ClientFrames[Type] & { id: number }

/** A publish that names its room, and has a key for its retries. */
export type PublishFrame = Numbered<'publish'> & { room: string, key: string }

/** A frame that the client sends. */
export type SentFrame = Numbered<'join'> | Numbered<'leave'> | PublishFrame | Numbered<'history'> | ClientFrames['ping']

/** One connection to the service, over one transport. Its frames are the same as on a WebSocket. */
export interface Link {
  /** Whether joins and leaves open streams again, instead of being frames. */
  readonly hasStreams: boolean
  /** Sends a frame; `bytes` are the payload of a binary publish. */
  send (frame: SentFrame, bytes?: Uint8Array<ArrayBuffer>): void
  /** Ends the link without a report. */
  close (): void
}

/** A way to the service. */
export type Transport = 'websocket' | 'events'

/** Receives the reports of a link. */
export interface LinkListener {
  /** A frame arrived; `bytes` are the payload of a binary message. */
  onFrame (frame: ServerFrame, bytes?: Uint8Array): void
  /** A sign of life arrived: a frame, a heartbeat, or the answer to a ping. */
  onSign (): void
  /** The link has ended, or failed to open. */
  onEnd (end: LinkEnd): void
}

/** The end of a link. */
export interface LinkEnd {
  /** The close code; 1006 without one. */
  code: number
  /** The wait before the next link, ms, where the service gave one. */
  retryAfterMs?: number | undefined
  /** The error behind it, if there is one. */
  cause?: Error | undefined
}

/** The options of a link. */
export interface LinkOptions {
  /** The URL of the service without a slash at the end: `https://example.com/realtime`. */
  url: string
  token: string
  clock: Clock
  /** The client's name, the same on all its links. */
  origin: string
  listener: LinkListener
}

/** Whether a room is automatic: every connection is in it, and cannot leave it. */
export function isAutomatic (room: string): boolean {
  return room.startsWith('@')
}

/** Answers a leave that needs no frame. */
export function answerLeave ({ room, id }: Numbered<'leave'>, listener: Pick<LinkListener, 'onFrame'>): void {
  queueMicrotask(() => { listener.onFrame({ type: 'left', room, id }) })
}
