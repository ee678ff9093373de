import type { ClientFrame, ServerFrame } from '../src/protocol/frames.ts'

/** One connection to the service, by one way or the other. Frames go out and come in as they do on a WebSocket. */
export interface Link {
  /** Sends a frame; `bytes` are the payload of a publish with `binary`. */
  send (frame: ClientFrame, bytes?: Uint8Array): void
  /** Ends it; nothing is reported from here on. */
  close (): void
}

/** The ways to the service. */
export type Transport = 'websocket' | 'events'

/** What a link reports. */
export interface LinkListener {
  /** A frame came; `bytes` are the payload of a binary message. */
  onFrame (frame: ServerFrame, bytes?: Uint8Array): void
  /** Anything came, if only a heartbeat. */
  onSign (): void
  /** It has ended, or could not be opened. */
  onEnd (end: LinkEnd): void
}

/** How a link ended. */
export interface LinkEnd {
  /** A close code; 1006 where there was none. */
  code: number
  /** When to come back, ms, where the service said so. */
  retryAfterMs?: number | undefined
}

/** What a link is opened with. */
export interface LinkOptions {
  /** Where the service is, without a slash at the end: `https://example.com/realtime`. */
  url: string
  token: string
  /** This client's own name, the same on all its links. */
  origin: string
  listener: LinkListener
}
