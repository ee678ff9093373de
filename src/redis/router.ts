import { setTimeout as sleep } from 'node:timers/promises'
import type { Masters } from './masters.ts'
import { type Argument, codeOf, COMMAND_TIMEOUT_MS, type Repeatable, type Request, RequestFailed } from './request.ts'
import type { Requester } from './requester.ts'
import type { Master } from './master.ts'

/** Requests without an answer may take this many bytes together; new ones beyond that are refused. */
const MAX_UNSETTLED_BYTES = 64 * 1024 * 1024
/** An estimate for the objects of a request: many small requests take more than their arguments. */
const REQUEST_BYTES = 500
/** Time between two looks for requests past their deadline, ms. */
const EXPIRY_SWEEP_MS = 100
/** Time until a refused request is retried, ms. */
export const RETRY_MS = 100

/** A command for the owner of a key. */
export interface Call {
  key: string
  command: string
  args: Argument[]
  /** Index in `args` of the server's run ID; -1 for none. */
  runIdAt: number
  /** Whether the reply holds bytes instead of text. */
  binary: boolean
  repeatable: Repeatable
}

/**
 * Brings each request to the server that owns its slot, until it is settled or its time is over. The requests of a slot
 * that is moving are held until its owner is known, so that they keep their order.
 */
export class Router {
  readonly #masters: Masters
  /** Requests without an owner, by slot. */
  readonly #held = new Map<number, Request[]>()
  /** Each request with the server that it was given to, in the order of the deadlines. */
  readonly #unsettled = new Map<Request, Master | undefined>()
  readonly #expiry: NodeJS.Timeout
  #order = 0
  #bytes = 0
  #closed = false

  constructor (masters: Masters) {
    this.#masters = masters
    this.#expiry = setInterval(() => { this.#expire() }, EXPIRY_SWEEP_MS)
    this.#expiry.unref()
  }

  /** Sends a command; rejects with `RequestFailed`. */
  send ({ key, command, args, runIdAt, binary, repeatable }: Call): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let bytes = REQUEST_BYTES
      for (const arg of args) if (typeof arg !== 'number') bytes += arg.length
      const slot = this.#masters.slotOf(key)
      const lostAt = this.#masters.ownerOf(slot)?.requester.lostAt
      const now = Date.now()
      const isAway = lostAt !== undefined && lostAt + COMMAND_TIMEOUT_MS <= now
      if (this.#closed || isAway || this.#bytes + bytes > MAX_UNSETTLED_BYTES) throw new RequestFailed(false)
      this.#bytes += bytes
      const request: Request = {
        order: this.#order++,
        command,
        args,
        runIdAt,
        slot,
        binary,
        repeatable,
        sentTo: '',
        bytes,
        uncertain: false,
        deadline: now + COMMAND_TIMEOUT_MS,
        resolve: (reply) => {
          this.#settle(request)
          resolve(reply)
        },
        reject: (error) => {
          this.#settle(request)
          reject(error)
        }
      }
      this.dispatch(request)
    })
  }

  /** Gives a request to the owner of its slot, or holds it. */
  dispatch (request: Request): void {
    const held = this.#held.get(request.slot)
    const server = held === undefined ? this.#masters.ownerOf(request.slot) : undefined
    this.#unsettled.set(request, server)
    if (held !== undefined) held.push(request)
    else if (server !== undefined) server.requester.send(request)
    else this.#hold(request)
  }

  /** Takes back a request that a server refused for now. */
  refused (requester: Requester, request: Request, error: Error): void {
    const code = codeOf(error)
    if (code !== 'MOVED' && code !== 'ASK') {
      this.#hold(request)
      // The master became a replica: the next connection leads to the new master.
      if (code === 'READONLY') requester.reconnect()
      return
    }
    const target = error.message.split(' ')[2] ?? ''
    this.#hold(request, async () => { await this.#redirect(requester, request.slot, target, code) })
  }

  close (): void {
    this.#closed = true
    clearInterval(this.#expiry)
    for (const request of [...this.#unsettled.keys()]) request.reject(new RequestFailed(request.uncertain))
  }

  #settle (request: Request): void {
    this.#unsettled.delete(request)
    this.#bytes -= request.bytes
  }

  /** Fails the requests whose time is over. */
  #expire (): void {
    const now = Date.now()
    for (const [request, server] of this.#unsettled) {
      if (request.deadline > now) return
      server?.requester.drop(request)
      const held = this.#held.get(request.slot)
      if (held?.includes(request) === true) held.splice(held.indexOf(request), 1)
      void this.#masters.refreshMap() // Another server may have taken over.
      // A request that was written and not answered may still be carried out.
      request.reject(new RequestFailed(request.uncertain || server?.requester.usable === true))
    }
  }

  /** Holds the requests of a slot, this one first, until `findOwner` resolves. */
  #hold (request: Request, findOwner = async () => { await this.#awaitMap() }): void {
    const held = this.#held.get(request.slot)
    this.#unsettled.set(request, undefined)
    if (held !== undefined) {
      held.push(request)
      return
    }
    this.#held.set(request.slot, [request])
    void findOwner().then(() => { this.#release(request.slot) })
  }

  async #awaitMap (): Promise<void> {
    await Promise.all([this.#masters.refreshMap(), sleep(RETRY_MS)])
  }

  #release (slot: number): void {
    const requests = this.#held.get(slot) ?? []
    this.#held.delete(slot)
    for (const request of requests.sort((a, b) => a.order - b.order)) if (this.#unsettled.has(request)) this.dispatch(request)
  }

  /** Follows a slot to another server, for good (MOVED) or for the requests that are held (ASK). */
  async #redirect (from: Requester, slot: number, target: string, code: 'MOVED' | 'ASK'): Promise<void> {
    // The old server refuses all requests that it has before the first goes to the new one.
    await from.flushed()
    if (this.#masters.named(target) === undefined) await this.#masters.refreshMap()
    const server = this.#masters.named(target)
    if (server === undefined) {
      await sleep(RETRY_MS)
      return
    }
    if (code === 'MOVED') {
      this.#masters.move(slot, target)
      void this.#masters.refreshMap()
      return
    }
    const requests = this.#held.get(slot) ?? []
    for (const request of requests.splice(0).sort((a, b) => a.order - b.order)) {
      this.#unsettled.set(request, server)
      server.requester.sendAsking(request)
    }
    await server.requester.flushed()
  }
}
