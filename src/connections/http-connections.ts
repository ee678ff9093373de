import { type IncomingMessage, Server as HttpServer, type ServerResponse } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { Server as HttpsServer } from 'node:https'
import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Time for the rest of a body after its request was answered, ms. Cut at once, the client could not read the answer. */
const LINGER_MS = 3_000

/**
 * The HTTP connections of a server. Its `close()` waits for every connection, for as long as the client likes: also if the client
 * has sent nothing or half a header, or never ends a body. A graceful shutdown ends the idle connections at once, and destroys
 * the requests that are still under way at its deadline. Over HTTP/2 only requests are known: `plugins/http2-sessions.ts` closes
 * the sessions.
 */
export class HttpConnections {
  /** TCP connections whose TLS handshake is not finished, by their addresses and ports. */
  readonly #handshakes = new Map<string, Socket>()
  /** Connections that speak HTTP, with the number of their requests under way. */
  readonly #sockets = new Map<Duplex, number>()
  /** Answers of this service that are under way. */
  readonly #answers = new Set<ServerResponse>()
  readonly #forget: (this: Duplex) => void
  #closing = false

  constructor (server: Server) {
    const sockets = this.#sockets
    this.#forget = function () { sockets.delete(this) }
    if (server instanceof HttpsServer) {
      server.on('connection', (socket: Socket) => { this.#addHandshake(socket) })
      server.on('secureConnection', (socket) => {
        this.#handshakes.delete(nameOf(socket))
        this.#add(socket)
      })
    } else if (server instanceof HttpServer) server.on('connection', (socket: Socket) => { this.#add(socket) })
    else return
    server.on('request', (request: IncomingMessage, response: ServerResponse) => { this.#begin(request, response) })
  }

  /**
   * Takes care of a request of this service: the shutdown destroys it at its deadline, and its body ends soon after its answer.
   * A request may be added twice.
   */
  add (request: IncomingMessage, response: ServerResponse): void {
    if (this.#answers.has(response)) return
    this.#answers.add(response)
    response.once('finish', () => { if (!request.complete) destroyLater(request) })
    response.once('close', () => { this.#answers.delete(response) })
  }

  /** Releases a connection that has asked for an upgrade: it speaks HTTP no more. */
  release (socket: Duplex): void {
    if (this.#sockets.delete(socket)) socket.removeListener('close', this.#forget)
  }

  /** Ends the connections without a request under way; later ones when their requests are answered. */
  endIdle (): void {
    this.#closing = true
    for (const socket of this.#handshakes.values()) socket.destroy()
    for (const [socket, requests] of this.#sockets) if (requests === 0) endSoon(socket)
  }

  /** Destroys the connections without a request, and the requests of this service with their connections. */
  destroy (): void {
    for (const socket of this.#handshakes.values()) socket.destroy()
    for (const [socket, requests] of this.#sockets) if (requests === 0) socket.destroy()
    for (const answer of this.#answers) answer.destroy()
  }

  #addHandshake (socket: Socket): void {
    const name = nameOf(socket)
    this.#handshakes.set(name, socket)
    socket.once('close', () => { if (this.#handshakes.get(name) === socket) this.#handshakes.delete(name) })
  }

  #add (socket: Socket): void {
    this.#sockets.set(socket, 0)
    socket.once('close', this.#forget)
  }

  #begin ({ socket }: IncomingMessage, response: ServerResponse): void {
    const requests = this.#sockets.get(socket)
    if (requests === undefined) return // Its connection is closed: this request was read with the one before.
    this.#sockets.set(socket, requests + 1)
    response.once('close', () => {
      const requests = this.#sockets.get(socket)
      if (requests === undefined) return
      this.#sockets.set(socket, requests - 1)
      if (this.#closing && requests === 1) endSoon(socket)
    })
  }
}

/** Ends a socket when everything is written. */
function endSoon (socket: Duplex): void {
  socket.end(() => { socket.destroy() })
}

/** Destroys a request, with its connection or its stream, unless its body ends in time. */
function destroyLater (request: IncomingMessage | Http2ServerRequest): void {
  const timer = setTimeout(() => {
    if ('stream' in request) request.stream.close()
    else request.destroy()
  }, LINGER_MS)
  request.once('close', () => { clearTimeout(timer) })
}

/** A TCP connection has the same name before and after its TLS handshake. */
function nameOf ({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}
