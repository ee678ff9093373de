import { CLOSE_CODES, nextStep } from '../src/protocol/close-codes.ts'
import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import { type Backoff, fullJitter, limitJitter } from './backoff.ts'
import type { Clock } from './clock.ts'
import { readDelay } from './delay.ts'
import { RoomcastError, toCause } from './errors.ts'
import type { EventStreamLinkOptions } from './event-stream-link.ts'
import { Fallback } from './fallback.ts'
import type { Link, LinkEnd, LinkListener, SentFrame, Transport } from './link.ts'
import { Liveness } from './liveness.ts'
import { listenToPage } from './page-events.ts'
import { reasonOf, type Status, type StatusReason } from './status.ts'
import type { TokenSource } from './token-source.ts'
import { openWebSocket, type WebSocketConstructor } from './websocket-link.ts'

/** A link that lasted this long held; a shorter one counts as part of the outage, ms. */
const HOLD_MS = 5_000

/** The wait after a graceful shutdown that names no valid one, and the least wait in a long outage, ms. */
const SHUTDOWN_MS = 1_000

/** The settings of a connector, and the listeners for its links. */
export interface ConnectorOptions {
  url: string
  origin: string
  clock: Clock
  token: TokenSource
  /** The transports that are available, in the order of preference; at least one. */
  transports: readonly Transport[]
  backoff: Backoff
  /** The longest wait for the welcome frame of a link, ms. */
  connectTimeoutMs: number
  WebSocket: WebSocketConstructor | undefined
  /** The other options of an event stream. Simulated pages may have no `fetch`. */
  events: Pick<EventStreamLinkOptions, 'rooms' | 'isCurrent'> & { fetch: typeof fetch | undefined }
  onStatus: (status: Status) => void
  /** Receives the welcome of a new link, which knows nothing of the last one: rooms and requests must be sent again. */
  onOpen: (welcome: ServerFrames['welcome'], link: Link) => void
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
  /** The time of the welcome, by the monotonic clock; undefined before. */
  openedAt?: number
  retryAfterMs?: number | undefined
  cancelTimer?: () => void
}

/** Keeps one link to the service: opens it, and after its end waits and opens the next one. */
export class Connector {
  status: Status = { state: 'disconnected' }
  readonly #options: ConnectorOptions
  readonly #fallback: Fallback
  readonly #unlisten: () => void
  #current: Attempt | undefined
  /** A WebSocket that may replace the current event stream. */
  #candidate: Attempt | undefined
  #cancelTimer = (): void => {}
  /** The last token that the service refused. */
  #refused: string | undefined
  /** The start of the time without a link, by the monotonic clock. */
  #lostAt: number
  /** The time without a link before that, since the last link that held, ms. */
  #awayMs = 0

  constructor (options: ConnectorOptions) {
    this.#options = options
    this.#lostAt = options.clock.now()
    this.#fallback = new Fallback(options.clock, options.transports, () => { void this.#tryWebSocket() })
    this.#unlisten = listenToPage(() => { this.retry() }, () => { this.#onNetwork() })
  }

  /** Connects, unless there is a connection, or an attempt. */
  connect (): void {
    if (this.status.state !== 'disconnected') return
    this.#awayMs = 0
    this.#lostAt = this.#options.clock.now()
    void this.#connect()
  }

  /** Ends the link, and opens none before `connect`. */
  disconnect (): void {
    const { state } = this.status
    if (state !== 'closed' && state !== 'disconnected') this.#stop({ state: 'disconnected', reason: 'normal', code: 1000 })
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
  close (reason: StatusReason = 'normal', code = 1000, cause?: Error): void {
    if (this.status.state === 'closed') return
    this.#unlisten()
    this.#options.token.stop()
    this.#stop({ state: 'closed', reason, code, ...(cause !== undefined && { cause }) })
  }

  #stop (status: Status & { code: number }): void {
    this.#cancelTimer()
    this.#end()
    this.#setStatus(status)
    this.#options.onDown(status.code)
  }

  async #connect (): Promise<void> {
    this.#cancelTimer()
    const attempt: Attempt = this.#current = { token: '' }
    if (this.status.state !== 'connecting') this.#setStatus({ state: 'connecting' })
    let token: string
    try {
      token = await this.#getToken()
    } catch (error) {
      if (this.#isOver(attempt)) return
      this.#current = undefined
      const reason = error instanceof RoomcastError && error.code === 'unauthorized' ? error.code : 'token'
      const end = { code: undefined, cause: toCause(error) }
      if (this.#options.token.renewable) this.#wait(reason, end)
      else this.close(reason, CLOSE_CODES.unauthorized, end.cause)
      return
    }
    if (!this.#isOver(attempt)) await this.#openLink(attempt, this.#fallback.choose(), token)
  }

  async #tryWebSocket (): Promise<void> {
    const attempt: Attempt = this.#candidate = { token: '' }
    try {
      const token = await this.#getToken()
      if (!this.#isOver(attempt)) await this.#openLink(attempt, 'websocket', token)
    } catch {
      this.#onEnd(attempt, { code: 1006 })
    }
  }

  async #getToken (): Promise<string> {
    const token = await this.#options.token.get(this.#refused)
    if (token === this.#refused) throw new RoomcastError('unauthorized', 'The service refused the token, and there is no other one')
    return token
  }

  async #openLink (attempt: Attempt, transport: Transport, token: string): Promise<void> {
    const { url, origin, clock, connectTimeoutMs, WebSocket, events: { fetch, ...events } } = this.#options
    const listener: LinkListener = {
      onFrame: (frame, bytes) => {
        if (frame.type === 'welcome') this.#onWelcome(attempt, transport, frame)
        else if (frame.type === 'shutdown') attempt.retryAfterMs = readDelay(frame.retryAfterMs) ?? SHUTDOWN_MS
        else if (attempt === this.#current && attempt.openedAt !== undefined) this.#options.onFrame(frame, bytes)
      },
      onSign: () => { attempt.liveness?.hear() },
      onEnd: (end) => { this.#onEnd(attempt, end) }
    }
    attempt.transport = transport
    attempt.token = token
    attempt.cancelTimer = clock.after(connectTimeoutMs, () => {
      this.#onEnd(attempt, { code: 1006, cause: new Error(`The service has not answered within ${connectTimeoutMs} ms`) })
    })
    try {
      const options = { url, origin, token, clock, listener }
      if (transport === 'websocket' && WebSocket !== undefined) attempt.link = openWebSocket(WebSocket, options)
      else if (fetch !== undefined) {
        // Most clients never load it.
        const { EventStreamLink } = await import('./event-stream-link.ts')
        if (!this.#isOver(attempt)) attempt.link = new EventStreamLink({ ...options, ...events, fetch })
      }
    } catch (error) {
      this.#onEnd(attempt, { code: 1006, cause: toCause(error) })
    }
  }

  #onWelcome (attempt: Attempt, transport: Transport, welcome: ServerFrames['welcome']): void {
    const isReturn = attempt === this.#candidate
    const { clock } = this.#options
    if ((!isReturn && attempt !== this.#current) || attempt.openedAt !== undefined || attempt.link === undefined) return
    if (isReturn) {
      this.#promote(1000)
      if (attempt !== this.#current) return // A listener has closed the client.
    }
    attempt.openedAt = clock.now()
    if (!isReturn) this.#awayMs += attempt.openedAt - this.#lostAt
    attempt.cancelTimer?.()
    if (transport === 'events') this.#fallback.returnLater() // Its link watches the heartbeats.
    else {
      attempt.liveness = new Liveness({
        clock,
        heartbeatMs: readDelay(welcome.heartbeatMs) ?? 0,
        ping: () => { this.send({ type: 'ping' }) },
        onDead: () => {
          this.#onEnd(attempt, { code: CLOSE_CODES.noHeartbeat, cause: new Error('The connection was silent, and answered no ping') })
        }
      })
    }
    this.#setStatus({ state: 'connected', transport })
    if (attempt === this.#current) this.#options.onOpen(welcome, attempt.link) // Unless a listener has ended the connection.
  }

  #onEnd (attempt: Attempt, end: LinkEnd): void {
    if (attempt === this.#candidate) {
      this.#candidate = undefined
      this.#drop(attempt)
      this.#fallback.returnLater()
      return
    }
    if (attempt !== this.#current) return
    const now = this.#options.clock.now()
    const wasOpen = attempt.openedAt !== undefined
    const held = attempt.openedAt !== undefined && now - attempt.openedAt >= HOLD_MS
    if (held) this.#awayMs = 0
    if (wasOpen) this.#lostAt = now
    this.#fallback.onEnd(attempt.transport, held, end.code)
    if (end.code === CLOSE_CODES.removed && this.#candidate?.link !== undefined) {
      // At the limit of connections, the service replaces the event stream by the WebSocket that the client opens beside it.
      this.#setStatus({ state: 'connecting' })
      if (attempt === this.#current) this.#promote(end.code)
      return
    }
    this.#end()
    const reason = reasonOf(end.code)
    const next = nextStep(end.code)
    if (next === 'renew') this.#refused = attempt.token
    if (next === 'stay' || (next === 'renew' && !this.#options.token.renewable)) {
      this.close(reason, end.code, end.cause)
      return
    }
    if (wasOpen) this.#options.onDown(end.code)
    this.#wait(reason, { ...end, retryAfterMs: attempt.retryAfterMs ?? end.retryAfterMs })
  }

  #wait (reason: StatusReason, { code, cause, retryAfterMs }: Partial<LinkEnd>): void {
    const { state } = this.status
    if (state === 'closed' || state === 'disconnected' || this.#current !== undefined) return // A listener has ended the connection.
    const { clock, backoff } = this.#options
    const awayMs = this.#awayMs + clock.now() - this.#lostAt
    // Whatever the service names, attempts in a row are not made at once.
    const leastMs = reason === 'connectionLimit' ? limitJitter(awayMs) : Math.min(awayMs, SHUTDOWN_MS)
    const ms = reason === 'connectionLimit' || retryAfterMs !== undefined
      ? Math.max(leastMs, retryAfterMs ?? 0)
      : fullJitter(awayMs, backoff)
    this.#cancelTimer = clock.after(ms, () => { void this.#connect() })
    this.#setStatus({
      state: 'waiting', reason, ...(code !== undefined && { code }), ...(cause !== undefined && { cause }), retryAt: clock.wall() + ms
    })
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
    attempt?.cancelTimer?.()
    attempt?.liveness?.stop()
    attempt?.link?.close()
  }

  #onNetwork (): void {
    this.retry()
    const attempt = this.#current
    if (attempt?.link === undefined) return
    // An attempt from before may hang; an event stream answers no ping.
    if (attempt.liveness === undefined) {
      this.#onEnd(attempt, { code: 1006, cause: new Error('The network changed') })
      this.retry()
    } else attempt.liveness.hurry()
  }

  #setStatus (status: Status): void {
    this.status = status
    this.#options.onStatus(status)
  }
}
