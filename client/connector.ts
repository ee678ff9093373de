import { CLOSE_CODES, type CloseReason } from '../src/protocol/close-codes.ts'
import type { ClientFrame, ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import { fullJitter } from './backoff.ts'
import type { EventStreamLinkOptions } from './event-stream-link.ts'
import type { Link, LinkEnd, LinkListener, Transport } from './link.ts'
import type { TokenSource } from './token-source.ts'
import { openWebSocket, type WebSocketConstructor } from './websocket-link.ts'

/** A link that has not said welcome by then is given up, ms. */
const WELCOME_MS = 10_000
/** Where the server sends no heartbeats, ms without a sign until the client asks for one. */
const SILENCE_MS = 25_000
/** A sign that was asked for has to come within this, ms. */
const ANSWER_MS = 10_000
/** The same when the network has just come back. */
const QUICK_ANSWER_MS = 3_000
/** A link that ended sooner than this without a close code did not hold, ms. */
const HOLD_MS = 5_000
/** WebSockets that did not hold, one after the other, until event streams are tried. */
const FAILURES = 2
/** On an event stream, until a WebSocket is tried again: first at once, for the service may only have been away; then this long, doubling, ms. */
const FIRST_RETURN_MS = 1_000
const RETURN_MS = 60_000
const MAX_RETURN_MS = 600_000

/** Why a client is not connected: a close code's name (docs/errors.md), or what kept it from coming so far. */
export type StatusReason = CloseReason | 'lost' | 'token'

/** How a client stands. It is replaced, not changed. */
export interface Status {
  /** `waiting`: until the next attempt. `closed`: for good. */
  readonly state: 'connecting' | 'connected' | 'waiting' | 'closed'
  /** Why it is not connected any more. */
  readonly reason?: StatusReason
  /** The close code. */
  readonly code?: number
  /** Of the next attempt, ms since 1970. */
  readonly retryAt?: number
  /** By which way it is connected. */
  readonly transport?: Transport
}

export interface ConnectorOptions {
  url: string
  origin: string
  token: TokenSource
  transports: readonly Transport[]
  WebSocket: WebSocketConstructor | undefined
  /** The other options of an event stream. Simulated pages may have no `fetch`. */
  events: Pick<EventStreamLinkOptions, 'rooms'> & { fetch: typeof fetch | undefined }
  onStatus: (status: Status) => void
  /** A new link is open: everything that the last one had is to be asked for again. */
  onOpen: (welcome: ServerFrames['welcome']) => void
  onFrame: (frame: ServerFrame, bytes?: Uint8Array) => void
  /** The link is gone; `code` is why. */
  onDown: (code: number) => void
}

/** A link, from the attempt to open it to its end. */
interface Attempt {
  transport?: Transport
  token: string
  link?: Link
  /** When it was opened, ms; 0 before. */
  openedAt: number
  retryAfterMs?: number
  timer?: ReturnType<typeof setTimeout>
}

/** Keeps one link to the service: opens it, watches it, and opens the next one when it ends. */
export class Connector {
  status: Status = { state: 'connecting' }
  readonly #options: ConnectorOptions
  readonly #transports: readonly Transport[]
  /** The link in use, or being opened; and a WebSocket that may replace an event stream. */
  #current: Attempt | undefined
  #candidate: Attempt | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #returnTimer: ReturnType<typeof setTimeout> | undefined
  #returnMs = 0
  /** Since when there is no link, ms since 1970; and how long there was none before, since the last one that held, ms. */
  #lostAt = Date.now()
  #awayMs = 0
  /** WebSockets in a row that did not hold. */
  #failures = 0
  #lastTransport: Transport | undefined
  #heardAt = 0
  #askedAt = 0
  #unlisten: () => void

  constructor (options: ConnectorOptions) {
    this.#options = options
    this.#transports = options.transports.filter((transport) => (transport === 'events' ? options.events.fetch : options.WebSocket) !== undefined)
    this.#unlisten = listenToBrowser(() => { this.retry() }, () => { this.#hurry() })
    void this.#connect()
  }

  send (frame: ClientFrame, bytes?: Uint8Array): void {
    this.#current?.link?.send(frame, bytes)
  }

  /** Does not wait for the next attempt any longer. */
  retry (): void {
    if (this.status.state === 'waiting') void this.#connect()
  }

  /** For good. */
  close (reason: StatusReason = 'normal', code = 1000): void {
    if (this.status.state === 'closed') return
    this.#unlisten()
    clearTimeout(this.#timer)
    this.#drop(this.#candidate)
    this.#end()
    this.#setStatus({ state: 'closed', reason, code })
    this.#options.onDown(code)
  }

  async #connect (): Promise<void> {
    clearTimeout(this.#timer)
    const attempt: Attempt = this.#current = { token: '', openedAt: 0 }
    if (this.status.state !== 'connecting') this.#setStatus({ state: 'connecting' })
    const isOver = (): boolean => attempt !== this.#current
    let token: string
    try {
      token = await this.#options.token.get()
    } catch (error) {
      if (isOver()) return
      // Not the provider's fault where it has no other token.
      this.#wait((error as { code?: string }).code === 'unauthorized' ? 'unauthorized' : 'token')
      return
    }
    if (isOver()) return
    const transport = this.#lastTransport = this.#chooseTransport()
    await this.#openLink(attempt, transport, token, isOver)
  }

  /** WebSockets; where they do not hold, the two in turns: what does not get through may be either, or the service is away. */
  #chooseTransport (): Transport {
    const [first = 'events', second] = this.#transports
    if (second === undefined || this.#failures < FAILURES) return first
    return this.#lastTransport === 'events' ? 'websocket' : 'events'
  }

  async #openLink (attempt: Attempt, transport: Transport, token: string, isOver: () => boolean): Promise<void> {
    const { url, origin, WebSocket, events } = this.#options
    const listener: LinkListener = {
      onFrame: (frame, bytes) => {
        if (frame.type === 'welcome') this.#onWelcome(attempt, frame)
        else if (frame.type === 'shutdown') attempt.retryAfterMs = frame.retryAfterMs
        else if (attempt === this.#current && attempt.openedAt > 0) this.#options.onFrame(frame, bytes)
      },
      onSign: () => { if (attempt === this.#current) this.#hear() },
      onEnd: (end) => { this.#onEnd(attempt, end) }
    }
    attempt.transport = transport
    attempt.token = token
    attempt.timer = setTimeout(() => { this.#onEnd(attempt, { code: 1006 }) }, WELCOME_MS)
    try {
      if (transport === 'events') {
        // Most clients never need it.
        const { openEventStream } = await import('./event-stream-link.ts')
        if (isOver()) return
        attempt.link = openEventStream({ url, origin, token, listener, ...events as Pick<EventStreamLinkOptions, 'fetch' | 'rooms'> })
      } else attempt.link = openWebSocket(WebSocket as WebSocketConstructor, { url, origin, token, listener })
    } catch {
      this.#onEnd(attempt, { code: 1006 })
    }
  }

  #onWelcome (attempt: Attempt, welcome: ServerFrames['welcome']): void {
    const isReturn = attempt === this.#candidate
    if (!isReturn && attempt !== this.#current) return
    if (isReturn) {
      this.#candidate = undefined
      this.#end()
      this.#current = attempt
      this.#options.onDown(1000)
      if (attempt !== this.#current) return // A listener has closed the client.
    }
    attempt.openedAt = Date.now()
    if (!isReturn) this.#awayMs += attempt.openedAt - this.#lostAt
    clearTimeout(attempt.timer)
    const { transport = 'websocket' } = attempt
    // An event stream is watched by its link.
    if (transport === 'websocket') this.#watch(attempt, welcome.heartbeatMs || SILENCE_MS)
    else if (this.#transports.includes('websocket')) this.#returnLater()
    this.#setStatus({ state: 'connected', transport })
    this.#options.onOpen(welcome)
  }

  #onEnd (attempt: Attempt, end: LinkEnd): void {
    if (attempt === this.#candidate) {
      this.#candidate = undefined
      this.#drop(attempt)
      this.#returnLater()
      return
    }
    if (attempt !== this.#current) return
    const wasOpen = attempt.openedAt > 0
    const held = wasOpen && Date.now() - attempt.openedAt >= HOLD_MS
    if (held) this.#awayMs = this.#returnMs = 0
    if (wasOpen) this.#lostAt = Date.now()
    if (attempt.transport === 'websocket') {
      // A close code is the service's own word: it did get through.
      this.#failures = held || end.code !== 1006 ? 0 : this.#failures + 1
    }
    this.#end()
    const { reason, next } = readCode(end.code)
    if (next === 'renew') this.#options.token.refuse(attempt.token)
    if (next === 'stay' || (next === 'renew' && !this.#options.token.renewable)) {
      this.close(reason, end.code)
      return
    }
    if (wasOpen) this.#options.onDown(end.code)
    this.#wait(reason, end.code, attempt.retryAfterMs ?? end.retryAfterMs)
  }

  #wait (reason: StatusReason, code?: number, retryAfterMs?: number): void {
    if (this.status.state === 'closed') return // By a listener.
    this.#current = undefined
    const ms = retryAfterMs ?? fullJitter(this.#awayMs + Date.now() - this.#lostAt)
    this.#timer = setTimeout(() => { void this.#connect() }, ms)
    this.#setStatus({ state: 'waiting', reason, ...(code !== undefined && { code }), retryAt: Date.now() + ms })
  }

  /** Tries a WebSocket beside the event stream, after a while. */
  #returnLater (): void {
    clearTimeout(this.#returnTimer)
    const ms = this.#returnMs === 0 ? FIRST_RETURN_MS : this.#returnMs
    this.#returnMs = Math.min(MAX_RETURN_MS, Math.max(RETURN_MS, this.#returnMs * 2))
    this.#returnTimer = setTimeout(() => {
      const attempt: Attempt = this.#candidate = { token: '', openedAt: 0 }
      const isOver = (): boolean => attempt !== this.#candidate
      this.#options.token.get().then(async (token) => {
        if (!isOver()) await this.#openLink(attempt, 'websocket', token, isOver)
      }, () => { this.#onEnd(attempt, { code: 1006 }) })
    }, ms)
  }

  /** Ends the current link, which is not reported. */
  #end (): void {
    clearTimeout(this.#returnTimer)
    this.#drop(this.#current)
    this.#current = undefined
    // It came from an event stream that is no more; the next one tries again.
    this.#drop(this.#candidate)
    this.#candidate = undefined
  }

  #drop (attempt: Attempt | undefined): void {
    clearTimeout(attempt?.timer)
    attempt?.link?.close()
  }

  /** Browsers do not show the protocol's pings: when nothing has come for as long as a heartbeat takes, asks for a sign. */
  #watch (attempt: Attempt, heartbeatMs: number): void {
    this.#hear()
    const check = (): void => {
      const now = Date.now()
      // Timers of pages in the background come late: it is asked first, and only then given up.
      if (this.#askedAt > 0 && now - this.#askedAt >= ANSWER_MS) {
        this.#onEnd(attempt, { code: CLOSE_CODES.noHeartbeat.code })
        return
      }
      if (this.#askedAt === 0 && now - this.#heardAt >= heartbeatMs) this.#ask()
      const due = this.#askedAt > 0 ? this.#askedAt + ANSWER_MS : this.#heardAt + heartbeatMs
      attempt.timer = setTimeout(check, Math.max(due - now, 10))
    }
    check()
  }

  #ask (): void {
    this.#askedAt = Date.now()
    this.send({ type: 'ping' })
  }

  #hear (): void {
    this.#heardAt = Date.now()
    this.#askedAt = 0
  }

  /** The network has changed: the link is dead, or answers quickly. */
  #hurry (): void {
    this.retry()
    const attempt = this.#current
    if (attempt?.link === undefined) return
    // An attempt from before may hang; an event stream cannot be asked.
    if (attempt.openedAt === 0 || attempt.transport === 'events') {
      this.#onEnd(attempt, { code: 1006, retryAfterMs: 0 })
      return
    }
    const heardAt = this.#heardAt
    this.#ask()
    setTimeout(() => {
      if (attempt === this.#current && this.#heardAt === heardAt) this.#onEnd(attempt, { code: CLOSE_CODES.noHeartbeat.code })
    }, QUICK_ANSWER_MS)
  }

  #setStatus (status: Status): void {
    this.status = status
    this.#options.onStatus(status)
  }
}

/** What a close code means, and what to do next. */
function readCode (code: number): { reason: StatusReason, next: 'stay' | 'resume' | 'renew' } {
  for (const [reason, row] of Object.entries(CLOSE_CODES)) if (row.code === code) return { reason: reason as CloseReason, next: row.client }
  return { reason: 'lost', next: code >= 4500 && code < 5000 ? 'stay' : 'resume' }
}

/** Tells when the page is seen again, and when the network has come or gone; returns how to stop. */
function listenToBrowser (onSeen: () => void, onNetwork: () => void): () => void {
  if (typeof document === 'undefined') return () => {}
  const onVisibility = (): void => { if (document.visibilityState === 'visible') onSeen() }
  document.addEventListener('visibilitychange', onVisibility)
  addEventListener('online', onNetwork)
  addEventListener('offline', onNetwork)
  return () => {
    document.removeEventListener('visibilitychange', onVisibility)
    removeEventListener('online', onNetwork)
    removeEventListener('offline', onNetwork)
  }
}
