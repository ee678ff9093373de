import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** The network between the page and the services: it forwards TCP connections to them until it is cut. */
export class Cable {
  #plug = 'in'
  #listeners = []
  #connections = new Set()

  /** Forwards a free port of 127.0.0.1 to another port, and resolves with the free one. */
  async forward (port) {
    const listener = createServer((near) => { this.#connect(near, port) }).listen(0, '127.0.0.1')
    this.#listeners.push(listener)
    await once(listener, 'listening')
    return listener.address().port
  }

  /**
   * `out` ends all connections and refuses new ones. `half` keeps them for one direction: the services get what the page sends,
   * and the page gets nothing. `in` accepts connections again.
   */
  setPlug (plug) {
    if (plug === this.#plug) return
    this.#plug = plug
    if (plug === 'half') return
    // After `half` a connection has a hole in it, so it cannot go on.
    for (const socket of this.#connections) socket.destroy()
  }

  /** Pulls the plug for good. */
  close () {
    this.setPlug('out')
    for (const listener of this.#listeners) listener.close()
  }

  #connect (near, port) {
    if (this.#plug !== 'in') {
      near.destroy()
      return
    }
    const far = connect(port, '127.0.0.1')
    near.on('data', (data) => { far.write(data) })
    far.on('data', (data) => { if (this.#plug === 'in') near.write(data) })
    for (const [socket, other] of [[near, far], [far, near]]) {
      this.#connections.add(socket)
      socket.on('error', () => {}) // 'close' follows.
      socket.on('close', () => {
        this.#connections.delete(socket)
        other.destroy()
      })
    }
  }
}
