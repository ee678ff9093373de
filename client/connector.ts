import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import { fullJitter, limitJitter } from './backoff.ts'
import { RoomcastError } from './errors.ts'
import type { EventStreamLinkOptions } from './event-stream-link.ts'
import { Fallback } from './fallback.ts'
import type { Link, LinkEnd, LinkListener, SentFrame, Transport } from './link.ts'
import { Liveness } from './liveness.ts'
import { listenToPage } from './page-events.ts'
import { readCloseCode, type Status, type StatusReason } from './status.ts'
import type { TokenSource } from './token-source.ts'
import { openWebSocket, type WebSocketConstructor } from './websocket-link.ts'

/** The longest wait for the welcome frame of a link, ms. */
const WELCOME_MS = 10_000
/** A link that lasted this long held; a shorter one counts as part of the outage, ms. */
const HOLD_MS = 5_000

/** The settings of a connector, and the listeners for its links. */
export interface ConnectorOptions {
  url: string
  origin: string
  token: TokenSource
  transports: readonly Transport[]
  WebSocket: WebSocketConstructor | undefined
  /** The other options of an event stream. Simulated pages may have no `fetch`. */
  events: Pick<EventStreamLinkOptions, 'rooms'> & { fetch: typeof fetch | undefined }
  onStatus: (status: Status) => void
  /** Receives the welcome of a new link, which knows nothing of the last one: rooms and requests must be sent again. */
  onOpen: (welcome: ServerFrames['welcome']) => void
  onFrame: (frame: ServerFrame, bytes?: Uint8Array) => void
  /** Receives the close code of a link that has ended. */
  onDown: (code: number) => void
}

/** A link, from the attempt to open it to its end. */
interface Attempt {
  transport?: Transport
  token: string
  link?: Link
  liveness?: Liveness
  /** The time of the welcome, ms since 1970; 0 before. */
  openedAt: number
  retryAfterMs?: number
  timer?: ReturnType<typeof setTimeout>
}

/** Keeps one link to the service: opens it, and after its end waits and opens the next one. */
export class Connector {
  status: Status = { state: 'connecting' }
  readonly #options: ConnectorOptions
  readonly #fallback: Fallback
  readonly #unlisten: () => void
  #current: Attempt | undefined
  /** A WebSocket that may replace the current event stream. */
  #candidate: Attempt | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** The last token that the service refused. */
  #refused: string | undefined
  /** The start of the time without a link, ms since 1970. */
  #lostAt = Date.now()
  /** The time without a link before that, since the last link that held, ms. */
  #awayMs = 0

  constructor (options: ConnectorOptions) {
    this.#options = options
    const { events: { fetch }, WebSocket } = options
    const transports = options.transports.filter((transport) => (transport === 'events' ? fetch : WebSocket) !== undefined)
    this.#fallback = new Fallback(transports, () => { void this.#tryWebSocket() })
    this.#unlisten = listenToPage(() => { this.retry() }, () => { this.#onNetwork() })
    void this.#connect()
  }

  /** Sends a frame on the current link, if there is one. */
  send (frame: SentFrame, bytes?: Uint8Array<ArrayBuffer>): void {
    this.#current?.link?.send(frame, bytes)
  }

  /** Ends the wait for the next attempt. */
  retry (): void {
    if (this.status.state === 'waiting') void this.#connect()
  }

  /** Closes the link and opens no other one. */
  close (reason: StatusReason = 'normal', code = 1000): void {
    if (this.status.state === 'closed') return
    this.#unlisten()
    clearTimeout(this.#timer)
    this.#end()
    this.#setStatus({ state: 'closed', reason, code })
    this.#options.onDown(code)
  }

  async #connect (): Promise<void> {
    clearTimeout(this.#timer)
    const attempt: Attempt = this.#current = { token: '', openedAt: 0 }
    if (this.status.state !== 'connecting') this.#setStatus({ state: 'connecting' })
    let token: string
    try {
      token = await this.#getToken()
    } catch (error) {
      if (!this.#isOver(attempt)) this.#wait(error instanceof RoomcastError && error.code === 'unauthorized' ? error.code : 'token')
      return
    }
    if (!this.#isOver(attempt)) await this.#openLink(attempt, this.#fallback.choose(), token)
  }

  async #tryWebSocket (): Promise<void> {
    const attempt: Attempt = this.#candidate = { token: '', openedAt: 0 }
    try {
      const token = await this.#getToken()
      if (!this.#isOver(attempt)) await this.#openLink(attempt, 'websocket', token)
    } catch {
      this.#onEnd(attempt, { code: 1006 })
    }
  }

  async #getToken (): Promise<string> {
    const token = await this.#options.token.get(this.#refused)
    if (token === this.#refused) throw new RoomcastError('unauthorized', 'There is no other token')
    return token
  }

  async #openLink (attempt: Attempt, transport: Transport, token: string): Promise<void> {
    const { url, origin, WebSocket, events } = this.#options
    const listener: LinkListener = {
      onFrame: (frame, bytes) => {
        if (frame.type === 'welcome') this.#onWelcome(attempt, transport, frame)
        else if (frame.type === 'shutdown') attempt.retryAfterMs = frame.retryAfterMs
        else if (attempt === this.#current && attempt.openedAt > 0) this.#options.onFrame(frame, bytes)
      },
      onSign: () => { attempt.liveness?.hear() },
      onEnd: (end) => { this.#onEnd(attempt, end) }
    }
    attempt.transport = transport
    attempt.token = token
    attempt.timer = setTimeout(() => { this.#onEnd(attempt, { code: 1006 }) }, WELCOME_MS)
    try {
      const { fetch, rooms } = events
      if (transport === 'websocket' && WebSocket !== undefined) {
        attempt.link = openWebSocket(WebSocket, { url, origin, token, listener })
      } else if (fetch !== undefined) {
        // Most clients never load it.
        const { EventStreamLink } = await import('./event-stream-link.ts')
        if (this.#isOver(attempt)) return
        attempt.link = new EventStreamLink({ url, origin, token, listener, fetch, rooms })
      } else this.#onEnd(attempt, { code: 1006 })
    } catch {
      this.#onEnd(attempt, { code: 1006 })
    }
  }

  #onWelcome (attempt: Attempt, transport: Transport, welcome: ServerFrames['welcome']): void {
    const isReturn = attempt === this.#candidate
    if (!isReturn && attempt !== this.#current) return
    if (isReturn) {
      this.#promote(1000)
      if (attempt !== this.#current) return // A listener has closed the client.
    }
    attempt.openedAt = Date.now()
    if (!isReturn) this.#awayMs += attempt.openedAt - this.#lostAt
    clearTimeout(attempt.timer)
    if (transport === 'events') this.#fallback.returnLater() // Its link watches the heartbeats.
    else {
      attempt.liveness = new Liveness(
        welcome.heartbeatMs,
        () => { this.send({ type: 'ping' }) },
        () => { this.#onEnd(attempt, { code: CLOSE_CODES.noHeartbeat.code }) }
      )
    }
    this.#setStatus({ state: 'connected', transport })
    this.#options.onOpen(welcome)
  }

  #onEnd (attempt: Attempt, end: LinkEnd): void {
    if (attempt === this.#candidate) {
      this.#candidate = undefined
      this.#drop(attempt)
      this.#fallback.returnLater()
      return
    }
    if (attempt !== this.#current) return
    const wasOpen = attempt.openedAt > 0
    const held = wasOpen && Date.now() - attempt.openedAt >= HOLD_MS
    if (held) this.#awayMs = 0
    if (wasOpen) this.#lostAt = Date.now()
    this.#fallback.onEnd(attempt.transport, held, end.code)
    if (end.code === CLOSE_CODES.removed.code && this.#candidate?.link !== undefined) {
      // At the limit of connections, the service replaces the event stream by the WebSocket that the client opens beside it.
      this.#setStatus({ state: 'connecting' })
      this.#promote(end.code)
      return
    }
    this.#end()
    const { reason, next } = readCloseCode(end.code)
    if (next === 'renew') this.#refused = attempt.token
    if (next === 'stay' || (next === 'renew' && !this.#options.token.renewable)) {
      this.close(reason, end.code)
      return
    }
    if (wasOpen) this.#options.onDown(end.code)
    this.#wait(reason, end.code, attempt.retryAfterMs ?? end.retryAfterMs)
  }

  #wait (reason: StatusReason, code?: number, retryAfterMs?: number): void {
    if (this.status.state === 'closed') return // A listener has closed the client.
    this.#current = undefined
    const awayMs = this.#awayMs + Date.now() - this.#lostAt
    const ms = reason === 'connectionLimit' ? Math.max(limitJitter(awayMs), retryAfterMs ?? 0) : retryAfterMs ?? fullJitter(awayMs)
    this.#timer = setTimeout(() => { void this.#connect() }, ms)
    this.#setStatus({ state: 'waiting', reason, ...(code !== undefined && { code }), retryAt: Date.now() + ms })
  }

  /** Ends the current link without a report, and the candidate with it: the next event stream makes another one. */
  #end (): void {
    this.#fallback.stop()
    this.#drop(this.#current)
    this.#current = undefined
    this.#drop(this.#candidate)
    this.#candidate = undefined
  }

  /** Ends the current link with a close code, and makes the candidate the current one. */
  #promote (code: number): void {
    const candidate = this.#candidate
    this.#candidate = undefined
    this.#end()
    this.#current = candidate
    this.#options.onDown(code)
  }

  #isOver (attempt: Attempt): boolean {
    return attempt !== this.#current && attempt !== this.#candidate
  }

  #drop (attempt: Attempt | undefined): void {
    clearTimeout(attempt?.timer)
    attempt?.liveness?.stop()
    attempt?.link?.close()
  }

  #onNetwork (): void {
    this.retry()
    const attempt = this.#current
    if (attempt?.link === undefined) return
    // An attempt from before may hang; an event stream answers no ping.
    if (attempt.liveness === undefined) this.#onEnd(attempt, { code: 1006, retryAfterMs: 0 })
    else attempt.liveness.hurry()
  }

  #setStatus (status: Status): void {
    this.status = status
    this.#options.onStatus(status)
  }
}
