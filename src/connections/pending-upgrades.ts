import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { HttpConnections } from './http-connections.ts'

/** A socket and its listener. */
interface Pending {
  socket: Duplex
  forget: () => void
}

/**
 * Owns the sockets that have asked for an upgrade, from the event until the 101. After the event neither Node nor Fastify ends
 * them. A socket whose request gets any other answer is ended here, no matter which hook or handler answered; sockets without
 * an answer are destroyed by the graceful shutdown.
 */
export class PendingUpgrades {
  readonly #server: Server
  readonly #httpConnections: HttpConnections
  readonly #pending = new Map<IncomingMessage, Pending>()
  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex): void => { this.#add(request, socket) }

  /** @param server whose upgrades `@fastify/websocket` answers */
  constructor (server: Server, httpConnections: HttpConnections) {
    this.#server = server
    this.#httpConnections = httpConnections
    server.prependListener('upgrade', this.#onUpgrade) // The 101 may be written within the listener of `@fastify/websocket`.
  }

  /** The number of sockets. */
  get size (): number {
    return this.#pending.size
  }

  /** Forgets a socket whose 101 is written. */
  done (request: IncomingMessage): void {
    const pending = this.#pending.get(request)
    if (pending === undefined) return
    this.#pending.delete(request)
    pending.socket.removeListener('close', pending.forget)
  }

  /** Destroys the sockets, and takes no more, for a graceful shutdown. */
  close (): void {
    this.#server.removeListener('upgrade', this.#onUpgrade)
    for (const { socket } of this.#pending.values()) socket.destroy()
  }

  #add (request: IncomingMessage, socket: Duplex): void {
    const forget = (): void => { this.#pending.delete(request) }
    this.#httpConnections.release(socket)
    this.#pending.set(request, { socket, forget })
    socket.once('close', forget)
    process.nextTick(() => { this.#follow(request, socket) })
  }

  /** Ends a socket after its answer. By now `@fastify/websocket` has given it a response, or the 101. */
  #follow (request: IncomingMessage, socket: Duplex): void {
    if (!this.#pending.has(request)) return
    const { _httpMessage: response } = socket as Duplex & { _httpMessage?: ServerResponse | null }
    // Another listener, of the application, owns the socket.
    if (response == null) {
      this.done(request)
      return
    }
    const end = (): void => { if (this.#pending.has(request)) socket.end(() => { socket.destroy() }) }
    if (response.writableFinished) end()
    else response.once('finish', end)
  }
}
