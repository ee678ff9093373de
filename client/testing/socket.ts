import type { WebSocketLike } from '../websocket-link.ts'
import type { Connection, Wire } from './connection.ts'
import type { EventLoop } from './event-loop.ts'

const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3] as const
/** The close code of a connection that ended without a close frame. */
const LOST = 1006

/** The state of the network between a user and the service. */
export interface Link {
  /** Nothing passes, and no end is reported. */
  readonly isSilent: boolean
  /** New connections fail. */
  readonly isCut: boolean
  /** Answers do not reach the client. */
  readonly losesAnswers: boolean
}

/** The network that sockets connect over. */
export interface Network {
  readonly loop: EventLoop
  /** Takes a new socket; returns a function that tells the state of its network. */
  add (socket: TwinSocket): () => Link
  /** Makes the connection of a socket that has reached the service; undefined where the service refuses it. */
  accept (socket: TwinSocket, wire: Wire): Connection | undefined
  /** The service knows that a connection has ended. */
  drop (connection: Connection): void
  /** A socket has ended. */
  remove (socket: TwinSocket): void
}

/** A WebSocket of a client, in memory. */
export class TwinSocket implements WebSocketLike {
  binaryType = 'blob'
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  onerror: ((event: never) => void) | null = null
  readonly url: string
  readonly protocols: readonly string[]
  readonly #network: Network
  readonly #link: () => Link
  /** Waits for the end of a silence. */
  #held: (() => void)[] = []
  #state: number = CONNECTING
  #connection: Connection | undefined
  /** The service has given the connection up. */
  #isAbandoned = false

  constructor (network: Network, url: string, protocols: string[]) {
    this.url = url
    this.protocols = protocols
    this.#network = network
    this.#link = network.add(this)
    this.#pass(() => { this.#open() })
  }

  get readyState (): number {
    return this.#state
  }

  /** Sends a message to the service. */
  send (data: string | Uint8Array): void {
    if (this.#state !== OPEN) return
    const copy = typeof data === 'string' ? data : data.slice()
    this.#pass(() => { this.#connection?.receive(copy) })
  }

  /** Closes the connection, behind the messages that were sent. */
  close (code = 1000): void {
    if (this.#state === CONNECTING) this.lose()
    else if (this.#state === OPEN) {
      this.#state = CLOSING
      this.#pass(() => { this.#end(code) })
    }
  }

  /** Ends the connection at once, as a lost network does. The frames under way are lost. */
  lose (): void {
    this.#end(LOST)
  }

  /** The service gives a silent connection up. The client finds out when the network is back. */
  abandon (): void {
    this.#isAbandoned = true
    if (this.#connection !== undefined) this.#network.drop(this.#connection)
  }

  /** The network is back: the held frames pass. */
  resume (): void {
    if (this.#isAbandoned) this.lose()
    else for (const task of this.#held.splice(0)) this.#pass(task)
  }

  #open (): void {
    if (this.#link().isCut) {
      this.lose()
      return
    }
    this.#state = OPEN
    this.#connection = this.#network.accept(this, {
      send: (frame, bytes) => {
        if (this.#link().losesAnswers && 'id' in frame) return
        const json = JSON.stringify(frame)
        this.#pass(() => { this.#deliver(json) })
        if (bytes !== undefined) this.#pass(() => { this.#deliver(bytes.slice().buffer) })
      },
      close: (code) => { this.#pass(() => { this.#end(code) }) }
    })
  }

  #deliver (data: string | ArrayBuffer): void {
    if (this.#state === OPEN) this.onmessage?.({ data })
  }

  /** Does something at the other end of the network. */
  #pass (task: () => void): void {
    this.#network.loop.push(() => {
      if (this.#state === CLOSED) return
      if (this.#link().isSilent) this.#held.push(task)
      else task()
    })
  }

  #end (code: number): void {
    if (this.#state === CLOSED) return
    this.#state = CLOSED
    this.#held = []
    this.#network.remove(this)
    if (this.#connection !== undefined) this.#network.drop(this.#connection)
    this.#network.loop.push(() => { this.onclose?.({ code }) })
  }
}
