import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A connection through the proxy. */
interface Pair {
  client: Socket
  server: Socket
}

/** Stands between a client and a server, and makes the network between them bad. */
export class TcpProxy {
  readonly port: number
  readonly #target: number
  readonly #pairs = new Set<Pair>()
  #refusing = false
  #holding = false
  #swallowing = false

  private constructor (listener: Server, target: number) {
    this.#target = target
    this.port = (listener.address() as AddressInfo).port
    listener.on('connection', (client: Socket) => { this.#connect(client) })
  }

  /** Starts one on a free port of 127.0.0.1; it is gone when the test is over. */
  static async start (t: Test, target: number): Promise<TcpProxy> {
    const listener = createServer().listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const proxy = new TcpProxy(listener, target)
    t.teardown(() => {
      proxy.cut()
      listener.close()
    })
    return proxy
  }

  /** Connections that are open. */
  get connections (): number {
    return this.#pairs.size
  }

  /** Ends all connections and takes no new ones. */
  cut (): void {
    this.#refusing = true
    for (const { client, server } of this.#pairs) {
      client.destroy()
      server.destroy()
    }
  }

  /** Lets nothing through any more, in either direction, and keeps it. */
  hold (): void {
    this.#holding = true
    for (const { client, server } of this.#pairs) {
      client.pause()
      server.pause()
    }
  }

  /** Lets go of what the server answers from now on, and ends the connection with the first of it: what was asked was done. */
  swallowReplies (): void {
    this.#swallowing = true
  }

  /** The network is good again. */
  heal (): void {
    this.#refusing = false
    this.#holding = false
    this.#swallowing = false
    for (const { client, server } of this.#pairs) {
      client.resume()
      server.resume()
    }
  }

  #connect (client: Socket): void {
    client.on('error', () => {})
    if (this.#refusing) {
      client.destroy()
      return
    }
    const server = connect(this.#target, '127.0.0.1')
    const pair = { client, server }
    this.#pairs.add(pair)
    const end = (): void => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    client.on('data', (data) => { server.write(data) })
    server.on('data', (data) => {
      if (this.#swallowing) end()
      else client.write(data)
    })
    client.on('close', end)
    server.on('error', () => {})
    server.on('close', end)
    if (this.#holding) {
      client.pause()
      server.pause()
    }
  }
}
