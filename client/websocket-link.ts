import type { ServerFrame } from '../src/protocol/frames.ts'
import type { Link, LinkOptions, SentFrame } from './link.ts'

/** The parts of a WebSocket that the client uses, of HTML or of the ws package. */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  /** The close code for the answer to a refused handshake. Browsers hide that answer. */
  readonly refused?: number | undefined
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number }) => void) | null
  onerror: ((event: never) => void) | null
  send (data: string | Uint8Array): void
  close (code?: number): void
}

/** A constructor of WebSockets. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike

const OPEN = 1

/** Opens a link over a WebSocket. */
export function openWebSocket (WebSocket: WebSocketConstructor, { url, token, origin, listener }: LinkOptions): Link {
  // The token is in the headers of the handshake, because proxies log URLs.
  const ws = new WebSocket(`${url.replace(/^http/, 'ws')}/ws?origin=${origin}`, ['roomcast.v1', `bearer.${token}`])
  ws.binaryType = 'arraybuffer'
  let header: ServerFrame | undefined
  ws.onmessage = ({ data }) => {
    listener.onSign()
    if (typeof data === 'string') {
      const frame: ServerFrame = JSON.parse(data)
      if (frame.type === 'message' && frame.binary !== undefined) header = frame
      else listener.onFrame(frame)
    } else if (header !== undefined) {
      const frame = header
      header = undefined
      listener.onFrame(frame, new Uint8Array(data as ArrayBuffer)) // By its `binaryType`.
    }
  }
  ws.onerror = () => {} // `onclose` follows.
  ws.onclose = ({ code }) => { listener.onEnd({ code: ws.refused ?? code }) }

  return {
    send (frame: SentFrame, bytes?: Uint8Array) {
      // A client cannot leave an automatic room.
      if (ws.readyState !== OPEN || (frame.type === 'leave' && frame.room.startsWith('@'))) return
      ws.send(JSON.stringify(frame))
      if (bytes !== undefined) ws.send(bytes)
    },
    close () {
      ws.onmessage = ws.onclose = null
      ws.close(1000)
    }
  }
}
