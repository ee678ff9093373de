import type { ClientFrame, ServerFrame } from '../src/protocol/frames.ts'
import type { Link, LinkOptions } from './link.ts'

/** What is used of a WebSocket (HTML's, or that of the ws package). */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  /** The close code that stands for the answer to a handshake that was refused, where it is shown: browsers do not. */
  readonly refused?: number | undefined
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number }) => void) | null
  onerror: ((event: never) => void) | null
  send (data: string | Uint8Array): void
  close (code?: number): void
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike

const OPEN = 1

/** A link over a WebSocket. */
export function openWebSocket (WebSocket: WebSocketConstructor, { url, token, origin, listener }: LinkOptions): Link {
  // In the handshake's headers: URLs are logged by everything on the way.
  const ws = new WebSocket(`${url.replace(/^http/, 'ws')}/ws?origin=${origin}`, ['roomcast.v1', `bearer.${token}`])
  ws.binaryType = 'arraybuffer'
  let header: ServerFrame | undefined
  ws.onmessage = ({ data }) => {
    listener.onSign()
    if (typeof data !== 'string') {
      const message = header
      header = undefined
      if (message !== undefined) listener.onFrame(message, new Uint8Array(data as ArrayBuffer))
      return
    }
    const frame = JSON.parse(data) as ServerFrame
    if (frame.type === 'message' && frame.binary !== undefined) header = frame
    else listener.onFrame(frame)
  }
  ws.onerror = () => {} // onclose comes after it.
  ws.onclose = ({ code }) => { listener.onEnd({ code: ws.refused ?? code }) }

  return {
    send (frame: ClientFrame, bytes?: Uint8Array) {
      // Nobody leaves the automatic rooms.
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
