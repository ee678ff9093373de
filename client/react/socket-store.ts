import { toCause } from '../stores/cause.ts'
import { toCount } from '../stores/count.ts'
import { Store } from '../stores/store.ts'

/** The wait before the first reconnect, and the longest wait, ms. */
const FIRST_MS = 1_000
const MAX_MS = 30_000
/** `WebSocket.OPEN`, also where there is no WebSocket. */
const OPEN = 1

/** The data that a WebSocket sends unchanged. */
type Raw = string | ArrayBuffer | ArrayBufferView<ArrayBuffer> | Blob

/** The messages and the state of a WebSocket, for a component. */
export interface SocketSnapshot {
  /** The latest messages, ascending: parsed JSON, or unchanged. */
  readonly messages: readonly unknown[]
  readonly isConnected: boolean
  /**
   * The error of the WebSocket's constructor: the URL or a protocol is invalid, or a page over HTTPS may not use `ws:`.
   * There is no retry: another URL or other protocols begin again.
   */
  readonly error: Error | undefined
}

/** The snapshot without a WebSocket. */
export const NO_SOCKET: SocketSnapshot = Object.freeze({ messages: Object.freeze([]), isConnected: false, error: undefined })

/** A WebSocket to any server, which reconnects. */
export class SocketStore extends Store<SocketSnapshot> {
  readonly #url: string | undefined
  readonly #protocols: string[]
  readonly #raw: boolean
  readonly #limit: number
  #ws: WebSocket | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #attempt = 0

  constructor (url: string | undefined, protocols: string[], raw: boolean, limit: number) {
    super(NO_SOCKET)
    this.#url = url
    this.#protocols = protocols
    this.#raw = raw
    this.#limit = toCount(limit)
  }

  /** Sends data, and objects as JSON. Returns false without a connection. */
  readonly send = (data: unknown): boolean => {
    if (this.#ws?.readyState !== OPEN) return false
    this.#ws.send(this.#raw || isRaw(data) ? data as Raw : JSON.stringify(data))
    return true
  }

  protected start (): void {
    if (this.#url !== undefined) this.#open(this.#url)
  }

  protected stop (): void {
    clearTimeout(this.#timer)
    const ws = this.#ws
    this.#ws = undefined
    ws?.close()
    this.#attempt = 0
    this.update(NO_SOCKET)
  }

  #open (url: string): void {
    let ws: WebSocket
    try {
      ws = this.#ws = new WebSocket(url, this.#protocols)
    } catch (error) {
      // An error in an effect would end the whole page.
      this.update({ error: toCause(error) })
      return
    }
    ws.onopen = () => {
      if (ws !== this.#ws) return
      this.#attempt = 0
      this.update({ isConnected: true })
    }
    ws.onmessage = ({ data }) => {
      if (ws !== this.#ws || this.#limit === 0) return // `slice(-0)` is the whole list.
      this.update({ messages: [...this.next.messages, this.#raw ? data : parse(data)].slice(-this.#limit) })
    }
    ws.onclose = () => {
      if (ws !== this.#ws) return
      this.update({ isConnected: false })
      this.#timer = setTimeout(() => { this.#open(url) }, Math.min(MAX_MS, FIRST_MS * 2 ** this.#attempt++))
    }
  }
}

function isRaw (data: unknown): data is Raw {
  return typeof data === 'string' || data instanceof ArrayBuffer || ArrayBuffer.isView(data) || data instanceof Blob
}

/** The value of a JSON text; other data unchanged. */
function parse (data: unknown): unknown {
  if (typeof data !== 'string') return data
  try {
    return JSON.parse(data)
  } catch {
    return data
  }
}
