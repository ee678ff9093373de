import type { WebSocket } from 'ws'

/** Time for a client to answer the close frame before its socket is destroyed, ms. */
export const CLOSE_TIMEOUT_MS = 3_000
/** Fragments of one message, at most. */
const MAX_FRAGMENTS = 64
/** Chunks from the network that one frame may have in any case; each costs far more than a byte. */
const MIN_CHUNKS = 1_024
/** Large frames may arrive in more chunks, of this many bytes on average: the smallest segments of networks are 536 bytes. */
const CHUNK_BYTES = 64

/** The private fields of ws that the service uses, in this file alone; a test fails when they change. */
interface Internals {
  _closeTimeout: number
  _receiver: {
    _maxPayload: number
    _maxFragments: number
    _maxBufferedChunks: number
    _state: number
    _bufferedBytes: number
    _fragmented: number
  }
}

function internalsOf (ws: WebSocket): Internals {
  return ws as unknown as Internals
}

/**
 * Sets the limits of a socket before anything is read from it. ws takes them as options of its server, which may be
 * the application's.
 *
 * @param maxMessageBytes size of a message; 0 is no limit
 */
export function setLimits (ws: WebSocket, maxMessageBytes: number): void {
  const internals = internalsOf(ws)
  internals._closeTimeout = CLOSE_TIMEOUT_MS
  internals._receiver._maxPayload = maxMessageBytes
  internals._receiver._maxFragments = MAX_FRAGMENTS
  internals._receiver._maxBufferedChunks = maxMessageBytes === 0 ? 0 : Math.max(MIN_CHUNKS, Math.ceil(maxMessageBytes / CHUNK_BYTES))
}

/** Whether the client has begun a message and not finished it. */
export function hasUnfinishedMessage (ws: WebSocket): boolean {
  const { _fragmented, _bufferedBytes, _state } = internalsOf(ws)._receiver
  return _fragmented !== 0 || _bufferedBytes > 0 || _state !== 0
}
