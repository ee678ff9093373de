import type { IncomingMessage, ServerResponse } from 'node:http'
import { RoomcastError } from '../errors.ts'

/** The wait of a caller with too many requests in progress, ms. */
const RETRY_MS = 1_000

/** A request of a caller, until its response closes. */
interface Exchange {
  readonly request: Pick<IncomingMessage, 'socket'>
  readonly response: Pick<ServerResponse, 'once'>
}

/** The requests in progress of each caller. */
export class Requests {
  readonly #max: number
  readonly #counts = new Map<string, number>()
  /** Ends the requests on a socket. */
  readonly #open = new WeakMap<IncomingMessage['socket'], Set<() => void>>()

  /** @param max requests in progress of one caller; 0 is no limit */
  constructor (max: number) {
    this.#max = max
  }

  /** Number of requests in progress of a caller. */
  of (user: string): number {
    return this.#counts.get(user) ?? 0
  }

  /** Counts a request until its response closes, for any reason; throws `rate_limited`. */
  begin (user: string, { request: { socket }, response }: Exchange): void {
    // A hook of the application may have taken its time. A closed socket would be counted forever: it does not close again.
    if (this.#max === 0 || socket.destroyed) return
    const count = this.of(user)
    if (count >= this.#max) {
      throw new RoomcastError('rate_limited', `You have ${this.#max} requests in progress; wait for their answers`, RETRY_MS)
    }
    this.#counts.set(user, count + 1)
    const open = this.#openOn(socket)
    const end = (): void => {
      if (open.delete(end)) this.#end(user)
    }
    open.add(end)
    response.once('close', end)
  }

  /** The requests on a socket. A response that waits behind another one does not report that the socket closes. */
  #openOn (socket: IncomingMessage['socket']): Set<() => void> {
    let open = this.#open.get(socket)
    if (open === undefined) {
      const requests = open = new Set<() => void>()
      this.#open.set(socket, requests)
      socket.once('close', () => { for (const end of requests) end() })
    }
    return open
  }

  #end (user: string): void {
    const rest = this.of(user) - 1
    if (rest === 0) this.#counts.delete(user)
    else this.#counts.set(user, rest)
  }
}
