import { CLOSE_CODES } from '../../src/protocol/close-codes.ts'
import type { ClientFrame } from '../../src/protocol/frames.ts'
import { readToken } from './connection-key.ts'
import type { EchoFilter } from './echo-filter.ts'
import type { Page } from './pages.ts'
import type { Open, PageMessage, WorkerMessage } from './port-messages.ts'

/** Bytes between two checks of a page's progress. */
const CHECK_BYTES = 64 * 1024
/** Bytes that a page may be behind. */
const MAX_BEHIND_BYTES = 4 * 1024 * 1024
/** The interval of the checks of a page, ms, and the number that a page without a lock may miss. */
const CHECK_MS = 30_000
const MAX_MISSED = 4

/** Receives the frames of a tab, and its end. */
export interface TabListener {
  onFrame: (socket: TabSocket, frame: ClientFrame, bytes?: ArrayBuffer) => void
  onEnd: (socket: TabSocket) => void
}

/** The worker's end of a `PortWebSocket`: the connection of one tab. */
export class TabSocket {
  readonly token: string
  readonly #port: MessagePort
  readonly #page: Page
  readonly #isLocked: boolean
  readonly #origin: string
  readonly #forget: () => void
  readonly #timer: ReturnType<typeof setInterval>
  #listener: TabListener | undefined
  /** A publish whose payload is next. */
  #header: ClientFrame | undefined
  /** The page has not answered a check. */
  #isChecking = false
  #missed = 0
  /** Bytes sent since the last answer, or before the first check. */
  #bytes = 0

  constructor (port: MessagePort, { protocols, isLocked }: Open, origin: string, page: Page, listener: TabListener) {
    this.token = readToken(protocols)
    this.#port = port
    this.#page = page
    this.#isLocked = isLocked
    this.#origin = origin
    this.#listener = listener
    this.#forget = page.add(this.#origin, () => { this.#end() })
    this.#timer = setInterval(() => { this.#check() }, CHECK_MS)
    port.onmessage = ({ data }: MessageEvent<PageMessage>) => { this.#onMessage(data) }
  }

  get isOpen (): boolean {
    return this.#listener !== undefined
  }

  /** The filter of this client in a room, if it has one. */
  filter (room: string): EchoFilter | undefined {
    return this.#page.filter(this.#origin, room)
  }

  /** The filter of this client in a room. */
  makeFilter (room: string): EchoFilter {
    return this.#page.makeFilter(this.#origin, room)
  }

  /** Sends the welcome. */
  open (welcome: string): void {
    this.#post({ type: 'open' })
    this.send(welcome)
  }

  /** Sends a frame, and the payload of a binary message behind it. */
  send (text: string, bytes?: ArrayBuffer): void {
    if (!this.isOpen) return
    const copy = bytes?.slice(0)
    if (copy === undefined) this.#post(text)
    else this.#port.postMessage([text, copy] satisfies WorkerMessage, [copy])
    this.#bytes += text.length + (bytes?.byteLength ?? 0)
    if (this.#bytes > MAX_BEHIND_BYTES && this.#isChecking) this.close(CLOSE_CODES.slowConsumer)
    else if (this.#bytes > CHECK_BYTES && !this.#isChecking) this.#check()
  }

  /** Ends the connection of the tab with a close code. */
  close (code: number): void {
    if (!this.isOpen) return
    this.#post({ type: 'closed', code })
    this.#end()
  }

  #onMessage (message: PageMessage): void {
    if (!this.isOpen) return
    this.#missed = 0
    if (typeof message === 'string') {
      const frame: ClientFrame = JSON.parse(message)
      if (frame.type === 'publish' && frame.binary !== undefined) this.#header = frame
      else this.#listener?.onFrame(this, frame)
    } else if (message instanceof ArrayBuffer) {
      const header = this.#header
      this.#header = undefined
      if (header !== undefined) this.#listener?.onFrame(this, header, message)
    } else if (message.type === 'checked') {
      this.#isChecking = false
      this.#bytes = 0
    } else if (message.type === 'close') this.#end()
  }

  #check (): void {
    if (this.#isChecking && !this.#isLocked && ++this.#missed > MAX_MISSED) this.close(CLOSE_CODES.noHeartbeat)
    else if (!this.#isChecking) {
      this.#isChecking = true
      this.#post({ type: 'check' })
    }
  }

  #end (): void {
    const listener = this.#listener
    if (listener === undefined) return
    this.#listener = undefined
    clearInterval(this.#timer)
    this.#forget()
    this.#page.onDown(this.#origin)
    listener.onEnd(this)
    this.#port.onmessage = null
  }

  #post (message: WorkerMessage): void {
    this.#port.postMessage(message)
  }
}
