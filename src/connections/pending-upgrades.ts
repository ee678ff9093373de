import type { Duplex } from 'node:stream'

/** Sockets that have asked for an upgrade and are not upgraded yet. */
export class PendingUpgrades {
  readonly #sockets = new Set<Duplex>()
  readonly #forget: (this: Duplex) => void

  constructor () {
    const sockets = this.#sockets
    this.#forget = function () { sockets.delete(this) }
  }

  /** The number of sockets. */
  get size (): number {
    return this.#sockets.size
  }

  /** Keeps a socket until its upgrade is done or it is closed. */
  add (socket: Duplex): void {
    this.#sockets.add(socket)
    socket.once('close', this.#forget)
  }

  /** Forgets a socket that is upgraded. */
  done (socket: Duplex): void {
    this.#sockets.delete(socket)
    socket.removeListener('close', this.#forget)
  }

  /** Destroys the sockets, for a graceful shutdown. */
  destroy (): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}
