import { CLOSE_CODES } from '../../src/protocol/close-codes.ts'
import type { WebSocketConstructor } from '../websocket-link.ts'
import { Connection, HEARTBEAT_MS, type Wire } from './connection.ts'
import type { EventLoop } from './event-loop.ts'
import type { FakeClock } from './fake-clock.ts'
import type { Service } from './service.ts'
import { type Link, type Network, TwinSocket } from './socket.ts'

/** The time that the service waits for the answer to a ping, ms. */
const ANSWER_MS = 10_000

/** The state of a network. */
export type LinkState = 'good' | 'cut' | 'silent'

/** The network between the clients and the service, which a test makes good and bad. */
export class TwinNetwork implements Network {
  readonly loop: EventLoop
  /** Connects over this network. */
  readonly WebSocket: WebSocketConstructor
  readonly #clock: FakeClock
  readonly #service: Service
  readonly #sockets = new Map<TwinSocket, string>()
  readonly #states = new Map<string, LinkState>()
  readonly #losing = new Set<string>()
  /** Ends the wait of the service for the answer of a silent connection. */
  readonly #patience = new WeakMap<TwinSocket, () => void>()
  /** The state for the users without an entry in `#states`. */
  #state: LinkState = 'good'
  #connections = 0

  constructor (loop: EventLoop, clock: FakeClock, service: Service) {
    this.loop = loop
    this.#clock = clock
    this.#service = service
    const network = this
    this.WebSocket = class extends TwinSocket {
      constructor (url: string, protocols: string[]) {
        super(network, url, protocols)
      }
    }
  }

  add (socket: TwinSocket): () => Link {
    const { user } = readToken(socket)
    this.#sockets.set(socket, user)
    return () => {
      const state = this.#states.get(user) ?? this.#state
      return { isSilent: state === 'silent', isCut: state === 'cut', losesAnswers: this.#losing.has(user) }
    }
  }

  accept (socket: TwinSocket, wire: Wire): Connection | undefined {
    const { token, user } = readToken(socket)
    if (token !== this.#service.token(user)) {
      wire.close(CLOSE_CODES.unauthorized)
      return undefined
    }
    const id = `twin-connection-${++this.#connections}`
    const origin = new URL(socket.url).searchParams.get('origin') ?? id
    return new Connection(this.#service, wire, { user, origin, id })
  }

  drop (connection: Connection): void {
    this.#service.disconnect(connection)
  }

  remove (socket: TwinSocket): void {
    this.#sockets.delete(socket)
  }

  /** Sets the state for a user, or for all. */
  set (state: LinkState, user: string | undefined): void {
    if (user === undefined) {
      this.#states.clear()
      this.#state = state
    } else this.#states.set(user, state)
    if (state === 'cut') this.forgetLosses(user)
    for (const socket of this.#of(user)) {
      this.#patience.get(socket)?.()
      if (state === 'cut') socket.lose()
      else if (state === 'good') socket.resume()
      else this.#patience.set(socket, this.#clock.after(HEARTBEAT_MS + ANSWER_MS, () => { socket.abandon() }))
    }
  }

  /** Swallows the answers to a user. */
  loseAnswers (user: string): void {
    this.#losing.add(user)
  }

  /** Swallows the answers to a user, or to all, no longer. */
  forgetLosses (user: string | undefined): void {
    if (user === undefined) this.#losing.clear()
    else this.#losing.delete(user)
  }

  #of (user: string | undefined): TwinSocket[] {
    return [...this.#sockets].filter(([, name]) => user === undefined || name === user).map(([socket]) => socket)
  }
}

/** The token of a handshake, and its user: `bearer.twin.<user>.<number>`. */
function readToken ({ protocols }: TwinSocket): { token: string, user: string } {
  const token = protocols.find((entry) => entry.startsWith('bearer.'))?.slice('bearer.'.length) ?? ''
  const [, user = ''] = /^twin\.(.+)\.\d+$/.exec(token) ?? []
  return { token, user: decodeURIComponent(user) }
}
