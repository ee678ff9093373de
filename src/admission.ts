import type { Duplex, Writable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { goingDown, RoomcastError } from './errors.ts'
import { isOriginAllowed } from './origins.ts'
import { SUBPROTOCOL } from './protocol/names.ts'
import { isBearerEntry, offeredProtocols } from './token.ts'

/** `UPGRADES_PER_MINUTE` is for this long, ms. */
const MINUTE_MS = 60_000
/** When to try again where the node is full, ms. */
const FULL_RETRY_MS = 5_000

/** Who may open a connection at all. The sockets that have asked for an upgrade and not been answered are in `app.upgrades`. */
export class Admission {
  readonly #app: FastifyInstance
  readonly #addresses = new Map<string, number>()
  readonly #forget: (this: Duplex) => void
  readonly #rateOf: ReturnType<FastifyInstance['createRateLimit']>

  constructor (app: FastifyInstance) {
    this.#app = app
    this.#rateOf = app.createRateLimit({ max: app.config.UPGRADES_PER_MINUTE, timeWindow: MINUTE_MS })
    this.#forget = function () { app.upgrades.delete(this) }
  }

  /** Of every connection, first of all: whether there are too many new ones from the address. */
  async checkRate (request: FastifyRequest): Promise<void> {
    if (this.#app.config.UPGRADES_PER_MINUTE === 0) return
    const rate = await this.#rateOf(request)
    if (!rate.isAllowed && rate.isExceeded) throw new RoomcastError('rate_limited', 'Too many new connections from this address', rate.ttl)
  }

  /** Of a WebSocket: before the upgrade. */
  checkUpgrade (request: FastifyRequest, reply: FastifyReply): void {
    const { upgrades } = this.#app
    if (!request.ws) {
      void reply.header('upgrade', 'websocket') // RFC 9110, section 15.5.22: a 426 names the protocol.
      throw new RoomcastError('upgrade_required', 'This is a WebSocket endpoint')
    }
    const { socket } = request.raw
    upgrades.add(socket)
    socket.once('close', this.#forget)

    this.#check(request)
    const protocols = offeredProtocols(request)
    if (protocols.length > 0 && protocols.every(isBearerEntry)) {
      throw new RoomcastError('invalid_request', `Offer the subprotocol ${SUBPROTOCOL} beside the token: a browser closes a connection that selects none`)
    }
    this.#countAddress(request, socket)
  }

  /** Of an event stream: before its headers, when it is known who asks. */
  checkStream (request: FastifyRequest, reply: FastifyReply, user: string): void {
    const { config, hub } = this.#app
    this.#check(request)
    if (config.MAX_CONNECTIONS_PER_USER > 0 && hub.connectionsOf(user) >= config.MAX_CONNECTIONS_PER_USER) {
      throw new RoomcastError('connection_limit', 'Too many connections of this user', FULL_RETRY_MS)
    }
    this.#countAddress(request, reply.raw)
  }

  /** The socket has its upgrade. */
  done (socket: Duplex): void {
    this.#app.upgrades.delete(socket)
    socket.removeListener('close', this.#forget)
  }

  #check ({ headers: { origin } }: FastifyRequest): void {
    const { config, hub, shutdown } = this.#app
    if (shutdown.draining) throw goingDown()
    if (origin !== undefined && !isOriginAllowed(config, origin)) throw new RoomcastError('origin_forbidden')
    if (config.MAX_CONNECTIONS > 0 && hub.connections.size >= config.MAX_CONNECTIONS) {
      throw new RoomcastError('overloaded', 'This instance takes no more connections', FULL_RETRY_MS)
    }
  }

  /** @param until what closes when the connection does */
  #countAddress (request: FastifyRequest, until: Writable): void {
    const limit = this.#app.config.MAX_CONNECTIONS_PER_ADDRESS
    if (limit === 0) return
    const { ip: address } = request // Asks the kernel.
    const count = this.#addresses.get(address) ?? 0
    if (count >= limit) throw new RoomcastError('connection_limit', 'Too many connections from this address', FULL_RETRY_MS)
    this.#addresses.set(address, count + 1)
    until.once('close', () => {
      const rest = (this.#addresses.get(address) ?? 1) - 1
      if (rest === 0) this.#addresses.delete(address)
      else this.#addresses.set(address, rest)
    })
  }
}
