import type { IncomingMessage } from 'node:http'
import type { WebSocket, WebSocketServer } from 'ws'
import { SUBPROTOCOL } from './protocol/names.ts'
import { offeredProtocols } from './token.ts'

/** A client that does not answer the close frame is destroyed after this long, ms. */
export const CLOSE_TIMEOUT_MS = 3_000
/** Fragments of one message. */
const MAX_FRAGMENTS = 64
/** Pieces in which one frame may come from the network, at the least; each costs far more than a byte. */
const MIN_CHUNKS = 1_024
/** Large frames may come in more, of this many bytes on average: the smallest that networks make are 536. */
const CHUNK_BYTES = 64
/** RFC 6455, section 4.1: 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/
/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** What ws has read from its options by the time a socket is ours; a test fails when it does not any more. */
interface Internals {
  _closeTimeout: number
  _receiver: { _maxPayload: number, _maxFragments: number, _maxBufferedChunks: number }
}

/**
 * What is wrong with a WebSocket handshake (RFC 6455, section 4.2.1), or undefined: ws would answer it in HTML.
 */
export function faultOfHandshake ({ headers }: IncomingMessage): string | undefined {
  const version = headers['sec-websocket-version']
  if (headers['sec-websocket-key'] === undefined || !KEY.test(headers['sec-websocket-key'])) return 'Missing or invalid Sec-WebSocket-Key header'
  if (version !== '13' && version !== '8') return 'Missing or invalid Sec-WebSocket-Version header'
  const protocols = headers['sec-websocket-protocol']?.split(',').map((protocol) => protocol.trim()) ?? []
  if (!protocols.every((protocol) => TOKEN.test(protocol)) || new Set(protocols).size < protocols.length) return 'Invalid Sec-WebSocket-Protocol header'
  return undefined
}

/**
 * Leaves of what the client offered what we take: ws would echo the first subprotocol, which may be the token; and frames
 * are written past ws, which would have to compress them.
 */
export function narrowOffer ({ headers }: IncomingMessage): void {
  if (offeredProtocols({ headers }).includes(SUBPROTOCOL)) headers['sec-websocket-protocol'] = SUBPROTOCOL
  else delete headers['sec-websocket-protocol']
  delete headers['sec-websocket-extensions']
}

/** Sets the limits of a socket of ours, before anything of it is read, and says goodbye to it ourselves. */
export function takeOver (ws: WebSocket, server: WebSocketServer, maxMessageBytes: number): void {
  const internals = ws as unknown as Internals
  internals._closeTimeout = CLOSE_TIMEOUT_MS
  internals._receiver._maxPayload = maxMessageBytes
  internals._receiver._maxFragments = MAX_FRAGMENTS
  internals._receiver._maxBufferedChunks = maxMessageBytes === 0 ? 0 : Math.max(MIN_CHUNKS, Math.ceil(maxMessageBytes / CHUNK_BYTES))
  // It would be closed, without a reason, when the application closes; and a listener would wait for its end.
  server.clients?.delete(ws)
  ws.removeAllListeners('close')
}
