import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import { toCause } from './errors.ts'
import { answerLeave, isAutomatic, type Link, type LinkOptions, type SentFrame } from './link.ts'
import { parseFrame } from './parse-frame.ts'

/** The parts of a WebSocket that the client uses, of HTML or of the ws package. */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  /** The close code for the answer to a refused handshake. Browsers hide that answer. */
  readonly refused?: number | undefined
  /** The error behind the end of the WebSocket. Browsers hide it. */
  readonly cause?: Error | undefined
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number, reason?: string }) => void) | null
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
  const read = makeReader(listener.onFrame.bind(listener))
  const end = (): void => {
    ws.onmessage = ws.onclose = null
    ws.close(1000)
  }
  ws.binaryType = 'arraybuffer'
  ws.onmessage = ({ data }) => {
    listener.onSign()
    try {
      read(data)
    } catch (error) {
      end()
      listener.onEnd({ code: CLOSE_CODES.malformedFrame, cause: toCause(error) })
    }
  }
  ws.onerror = () => {} // `onclose` follows.
  ws.onclose = ({ code, reason = '' }) => {
    listener.onEnd({ code: ws.refused ?? code, cause: ws.cause ?? new Error(`The WebSocket closed with ${code} ${reason}`.trim()) })
  }

  return {
    hasStreams: false,
    send (frame: SentFrame, bytes?: Uint8Array) {
      if (ws.readyState !== OPEN) return
      if (frame.type === 'leave' && isAutomatic(frame.room)) {
        answerLeave(frame, listener)
        return
      }
      ws.send(JSON.stringify(frame))
      if (bytes !== undefined) ws.send(bytes)
    },
    close: end
  }
}

/** Reads what arrives: texts, and after the header of a binary message its bytes. Throws an error for anything else. */
function makeReader (onFrame: (frame: ServerFrame, bytes?: Uint8Array) => void): (data: unknown) => void {
  let header: ServerFrames['message'] | undefined
  return (data) => {
    if (header === undefined) {
      const frame = parseFrame(data, true)
      if (frame.type === 'message' && frame.binary !== undefined) header = frame
      else if (frame.type !== 'close') onFrame(frame)
    } else {
      const frame = header
      header = undefined
      const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : undefined
      if (bytes?.length !== frame.binary) throw new Error('The service sent a binary message without its bytes')
      onFrame(frame, bytes)
    }
  }
}
