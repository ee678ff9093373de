import type { WebSocketConstructor, WebSocketLike } from '../websocket-link.ts'
import { lockLife, onLifeEnd } from './life-lock.ts'
import type { PageMessage, WorkerMessage } from './port-messages.ts'

/** The longest wait for the start of the worker, ms. It is shorter than the client's wait for a welcome. */
const START_MS = 3_000
const [CONNECTING, OPEN, CLOSED] = [0, 1, 3] as const

/** The parts that the sockets of one client share. */
export interface PortWebSocketOptions {
  /** Starts the worker, or connects to the running one. */
  start: () => SharedWorker
  /** The WebSocket for a page whose worker does not start. */
  WebSocket: WebSocketConstructor
}

/** Makes a constructor of WebSockets that share one connection through a worker. */
export function sharedWebSocket (options: PortWebSocketOptions): WebSocketConstructor {
  const shared = { ...options, isBroken: false }
  return class extends PortWebSocket {
    constructor (url: string, protocols: string[]) {
      super(url, protocols, shared)
    }
  }
}

/**
 * A WebSocket over the port of a shared worker. Where the worker does not start, it opens an ordinary WebSocket; after an error
 * of the worker, so do its successors.
 */
class PortWebSocket implements WebSocketLike {
  binaryType = 'arraybuffer'
  onmessage: WebSocketLike['onmessage'] = null
  onclose: WebSocketLike['onclose'] = null
  onerror: WebSocketLike['onerror'] = null
  readonly #url: string
  readonly #protocols: string[]
  readonly #shared: PortWebSocketOptions & { isBroken: boolean }
  #readyState: number = CONNECTING
  #port: MessagePort | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Ends the wait for the end of the worker. */
  #unlisten: () => void = () => {}
  /** Takes over where the worker does not start. */
  #own: WebSocketLike | undefined
  /** The page is hidden, perhaps in a cache where its messages would pile up; or the worker has ended. */
  readonly #onLost = (): void => { this.#end(1006) }

  constructor (url: string, protocols: string[], shared: PortWebSocketOptions & { isBroken: boolean }) {
    this.#url = url
    this.#protocols = protocols
    this.#shared = shared
    if (shared.isBroken) this.#openOwn()
    else this.#openPort()
  }

  get readyState (): number {
    return this.#own?.readyState ?? this.#readyState
  }

  send (data: string | Uint8Array): void {
    if (this.#own !== undefined) this.#own.send(data)
    else if (typeof data === 'string') this.#post(data)
    else {
      const bytes = data.slice().buffer
      this.#port?.postMessage(bytes, [bytes])
    }
  }

  close (code?: number): void {
    this.#own?.close(code)
    this.#detach()
  }

  #openPort (): void {
    try {
      const worker = this.#shared.start()
      worker.onerror = () => { this.#onBroken() }
      this.#port = worker.port
    } catch {
      this.#onBroken()
      return
    }
    this.#port.onmessage = ({ data }: MessageEvent<WorkerMessage>) => { this.#onMessage(data) }
    this.#timer = setTimeout(() => { this.#openOwn() }, START_MS)
    addEventListener('pagehide', this.#onLost)
    void lockLife().then((lock) => { this.#post({ type: 'open', url: this.#url, protocols: this.#protocols, ...lock }) })
  }

  #onBroken (): void {
    if (!this.#shared.isBroken) console.warn('Roomcast: the shared worker does not start; this tab has its own connection')
    this.#shared.isBroken = true
    this.#openOwn()
  }

  #openOwn (): void {
    if (this.#readyState !== CONNECTING || this.#own !== undefined) return
    this.#detach()
    const own = this.#own = new this.#shared.WebSocket(this.#url, this.#protocols)
    own.binaryType = this.binaryType
    own.onmessage = (event) => { this.onmessage?.(event) }
    own.onclose = (event) => { this.onclose?.(event) }
    own.onerror = (event) => { this.onerror?.(event) }
  }

  #onMessage (message: WorkerMessage): void {
    if (typeof message === 'string') this.onmessage?.({ data: message })
    else if (Array.isArray(message)) for (const data of message) this.onmessage?.({ data })
    else if (message.type === 'ready') {
      clearTimeout(this.#timer)
      this.#unlisten = onLifeEnd(message, this.#onLost)
    } else if (message.type === 'open') this.#readyState = OPEN
    else if (message.type === 'check') this.#post({ type: 'checked' })
    else this.#end(message.code)
  }

  #post (message: PageMessage): void {
    this.#port?.postMessage(message)
  }

  #end (code: number): void {
    this.#detach()
    this.onclose?.({ code })
  }

  #detach (): void {
    clearTimeout(this.#timer)
    this.#unlisten()
    removeEventListener('pagehide', this.#onLost)
    if (this.#port === undefined) return
    this.#readyState = CLOSED
    this.#post({ type: 'close' })
    this.#port.onmessage = null
    this.#port.close()
    this.#port = undefined
  }
}
