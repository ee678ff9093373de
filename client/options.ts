import { type Backoff, BACKOFF } from './backoff.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Transport } from './link.ts'
import { invalid } from './payload.ts'
import type { TokenProvider } from './token-source.ts'
import type { WebSocketConstructor } from './websocket-link.ts'

/** The longest waits for an answer. */
export interface Timeouts {
  /** For the token function, ms; 10,000 by default. */
  tokenMs: number
  /** For a connection to open, ms; 10,000 by default. */
  connectMs: number
  /** For a page of history, also without a connection, ms; 30,000 by default. */
  historyMs: number
}

const TIMEOUTS: Timeouts = { tokenMs: 10_000, connectMs: 10_000, historyMs: 30_000 }
/** The default maximum of pending publishes, and of pending history reads. */
const MAX_PENDING = 1_000

/** The options of a client. */
export interface ConnectOptions {
  /** The URL of the service with its path prefix: `https://example.com`. In a browser it may be relative to the page. */
  url: string
  /** A token, or a function that gets one. The function is called again after a refusal, and when the token expires. */
  token: TokenProvider
  /** The allowed transports. By default WebSocket, with event streams as the fallback. */
  transports?: readonly Transport[]
  /** `false` waits for a call of `connect()`. */
  autoConnect?: boolean
  /** The maximum of publishes without an answer, and of history reads; 1,000 by default. */
  maxPending?: number
  /** The bounds of the wait before a reconnect. */
  backoff?: Partial<Backoff>
  /** The longest waits for an answer. */
  timeouts?: Partial<Timeouts>
  /** Receives a line for each change of the connection, each refusal and each error: `console.debug`. */
  log?: (message: string, detail?: unknown) => void
  /** Headers of the handshake and of all requests, in Node. Browsers set none on a WebSocket. */
  headers?: Readonly<Record<string, string>>
  /** The agent of WebSockets in Node, such as one for a proxy. It does not apply to event streams: replace `fetch` for these. */
  agent?: object
  /** The certificates that WebSockets in Node trust (PEM). It does not apply to event streams: replace `fetch` for these. */
  ca?: string | readonly string[]
  /** Replaces the global `WebSocket`. */
  WebSocket?: WebSocketConstructor
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch
  /** Replaces the clock, for tests. */
  clock?: Clock
}

/** The options with their defaults. */
export interface ReadOptions {
  url: string
  token: TokenProvider
  transports: readonly Transport[]
  maxPending: number
  backoff: Backoff
  timeouts: Timeouts
  log: (message: string, detail?: unknown) => void
  WebSocket: WebSocketConstructor | undefined
  fetch: typeof fetch | undefined
  clock: Clock
}

/** Reads the options of a client. Throws `invalid_request` for an invalid one. */
export function readOptions (options: ConnectOptions): ReadOptions {
  const {
    url,
    token,
    transports = ['websocket', 'events'],
    maxPending = MAX_PENDING,
    log = () => {},
    WebSocket = globalThis.WebSocket as WebSocketConstructor | undefined,
    // Simulated pages may have none.
    fetch = (globalThis.fetch as typeof globalThis.fetch | undefined)?.bind(globalThis),
    clock = systemClock
  } = options
  const backoff = { ...BACKOFF, ...options.backoff }
  const timeouts = { ...TIMEOUTS, ...options.timeouts }
  for (const [name, value] of Object.entries({ maxPending, ...backoff, ...timeouts })) {
    if (typeof value !== 'number' || !(value > 0)) throw invalid(`"${name}" is a number above 0`)
  }
  if (typeof log !== 'function') throw invalid('"log" is a function')
  if (!Array.isArray(transports) || transports.some((name) => name !== 'websocket' && name !== 'events')) {
    throw invalid('"transports" is an array of "websocket" and "events"')
  }
  const available = transports.filter((transport) => typeof (transport === 'websocket' ? WebSocket : fetch) === 'function')
  if (available.length === 0) throw invalid('No transport is available; look at "transports", or add the option WebSocket or fetch')
  return {
    url: normaliseUrl(url), token, transports: available, maxPending, backoff, timeouts, log: quietly(log), WebSocket, fetch, clock
  }
}

/** A log that throws must not end the work that it describes. */
function quietly (log: ReadOptions['log']): ReadOptions['log'] {
  return (...line) => {
    try {
      log(...line)
    } catch {}
  }
}

/** The absolute URL over HTTP, without `/ws` or a slash at the end. */
function normaliseUrl (url: string): string {
  const base = typeof location === 'undefined' ? undefined : location.href
  let parsed: URL
  try {
    parsed = new URL(url, base)
  } catch (error) {
    throw invalid('"url" is the URL of the service', error)
  }
  const { host, protocol, pathname } = parsed
  if (!/^(http|ws)s?:$/.test(protocol)) throw invalid('"url" starts with http:, https:, ws: or wss:')
  const segments = pathname.split('/').filter((segment) => segment !== '')
  if (segments.at(-1) === 'ws') segments.pop()
  return [`${protocol}//${host}`, ...segments].join('/').replace(/^ws/, 'http')
}
