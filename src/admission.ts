import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { goingDown, RoomcastError } from './errors.ts'
import { isOriginAllowed } from './origins.ts'
import { SUBPROTOCOL } from './protocol/names.ts'
import { isBearerEntry, offeredProtocols } from './token.ts'

/** When to try again where the node is full, ms. */
const FULL_RETRY_MS = 5_000

/** Who may ask for an upgrade at all; the sockets that have asked and not been answered are in `app.upgrades`. */
export class Admission {
  readonly #app: FastifyInstance
  readonly #addresses = new Map<string, number>()
  readonly #forget: (this: Duplex) => void

  constructor (app: FastifyInstance) {
    this.#app = app
    this.#forget = function () { app.upgrades.delete(this) }
  }

  async check (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { config, hub, shutdown, upgrades } = this.#app
    if (!request.ws) {
      void reply.header('upgrade', 'websocket') // RFC 9110, section 15.5.22: a 426 names the protocol.
      throw new RoomcastError('upgrade_required', 'This is a WebSocket endpoint')
    }
    const { socket } = request.raw
    upgrades.add(socket)
    socket.once('close', this.#forget)

    if (shutdown.draining) throw goingDown()
    const { origin } = request.headers
    if (origin !== undefined && !isOriginAllowed(config, origin)) throw new RoomcastError('origin_forbidden')
    const protocols = offeredProtocols(request)
    if (protocols.length > 0 && protocols.every(isBearerEntry)) {
      throw new RoomcastError('invalid_request', `Offer the subprotocol ${SUBPROTOCOL} beside the token: a browser closes a connection that selects none`)
    }
    if (config.MAX_CONNECTIONS > 0 && hub.connections.size >= config.MAX_CONNECTIONS) {
      throw new RoomcastError('overloaded', 'This instance takes no more connections', FULL_RETRY_MS)
    }
    if (config.MAX_CONNECTIONS_PER_ADDRESS > 0) this.#countAddress(request.ip, config.MAX_CONNECTIONS_PER_ADDRESS, socket)
  }

  /** The socket has its upgrade. */
  done (socket: Duplex): void {
    this.#app.upgrades.delete(socket)
    socket.removeListener('close', this.#forget)
  }

  #countAddress (address: string, limit: number, socket: Duplex): void {
    const count = this.#addresses.get(address) ?? 0
    if (count >= limit) throw new RoomcastError('connection_limit', 'Too many connections from this address', FULL_RETRY_MS)
    this.#addresses.set(address, count + 1)
    socket.once('close', () => {
      const rest = (this.#addresses.get(address) ?? 1) - 1
      if (rest === 0) this.#addresses.delete(address)
      else this.#addresses.set(address, rest)
    })
  }
}
