import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Scope } from './scope.ts'

/** A connection through the proxy. */
interface Pair {
  client: Socket
  server: Socket
  /** What Redis publishes is not let through, but the rest of what it sends. */
  filter: PublishedFilter | undefined
  /** Whether the client has subscribed a channel of Redis. */
  subscribes: boolean
  /** The server does not see that the client closes it. */
  isAbandoned: boolean
}

/** A command of Redis that subscribes channels. */
const SUBSCRIBE = /\r\ns?subscribe\r\n/

/** Stands between a client and a server, and makes the network between them bad. */
export class TcpProxy {
  readonly port: number
  readonly #target: number
  readonly #pairs = new Set<Pair>()
  #refusing = false
  #holding = false
  #delayMs = 0
  #subscriptionDelayMs = 0
  #swallowing = false

  private constructor (listener: Server, target: number) {
    this.#target = target
    this.port = (listener.address() as AddressInfo).port
    listener.on('connection', (client: Socket) => { this.#connect(client) })
  }

  /** Starts one on a free port of 127.0.0.1; it is gone when the test is over. */
  static async start (t: Scope, target: number): Promise<TcpProxy> {
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

  /** Lets nothing through on the open connections, and everything on new ones: the client has changed networks. */
  abandon (): void {
    for (const pair of this.#pairs) {
      pair.isAbandoned = true
      pair.client.pause()
      pair.server.pause()
    }
  }

  /** Has the connections that are open answer, and deliver nothing that is published: what comes of Redis' pub/sub is dropped. */
  deafen (): void {
    for (const pair of this.#pairs) pair.filter = new PublishedFilter()
  }

  /** Lets everything through this much later, ms, in either direction. */
  delay (ms: number): void {
    this.#delayMs = ms
  }

  /** Delays everything that Redis sends over connections with subscriptions, ms: published messages come after the replies. */
  delaySubscriptions (ms: number): void {
    this.#subscriptionDelayMs = ms
  }

  /** Lets go of what the server answers from now on, and ends the connection with the first of it: what was asked was done. */
  swallowReplies (): void {
    this.#swallowing = true
  }

  /** The network is good again. */
  heal (): void {
    this.#refusing = false
    this.#holding = false
    this.#delayMs = 0
    this.#subscriptionDelayMs = 0
    this.#swallowing = false
    for (const pair of this.#pairs) {
      if (pair.filter !== undefined) pair.client.write(pair.filter.rest)
      pair.filter = undefined
      pair.client.resume()
      pair.server.resume()
    }
  }

  #connect (client: Socket): void {
    client.on('error', () => {})
    if (this.#refusing) {
      client.destroy()
      return
    }
    const server = connect(this.#target, '127.0.0.1')
    const pair: Pair = { client, server, filter: undefined, subscribes: false, isAbandoned: false }
    this.#pairs.add(pair)
    const end = (): void => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    const towardsServer = new Lane(server)
    const towardsClient = new Lane(client)
    client.on('data', (data) => {
      pair.subscribes ||= SUBSCRIBE.test(data.toString('latin1'))
      towardsServer.write(data, this.#delayMs)
    })
    server.on('data', (data) => {
      if (this.#swallowing) end()
      else towardsClient.write(pair.filter?.apply(data) ?? data, Math.max(this.#delayMs, pair.subscribes ? this.#subscriptionDelayMs : 0))
    })
    client.on('close', () => { if (!pair.isAbandoned) end() })
    server.on('error', () => {})
    server.on('close', end)
    if (this.#holding) {
      client.pause()
      server.pause()
    }
  }
}

/** One direction of a connection: what is let through late stays in order, and before what comes after it. */
class Lane {
  readonly #socket: Socket
  readonly #late: Buffer[] = []

  constructor (socket: Socket) {
    this.#socket = socket
  }

  write (data: Buffer, delayMs: number): void {
    if (delayMs === 0 && this.#late.length === 0) {
      this.#socket.write(data)
      return
    }
    this.#late.push(data)
    // Timers may fire in another order than they were set; the data does not care which of them lets it through.
    setTimeout(() => { this.#socket.write(this.#late.shift() as Buffer) }, delayMs)
  }
}

/** Takes out of what Redis sends (RESP, version 3) what somebody has published. Begins between two values. */
class PublishedFilter {
  /** The beginning of a value that is not all there yet. */
  rest: Buffer = Buffer.alloc(0)

  apply (data: Buffer): Buffer {
    const bytes = Buffer.concat([this.rest, data])
    const kept: Buffer[] = []
    let at = 0
    for (let end = endOfValue(bytes, at); end !== -1; end = endOfValue(bytes, at)) {
      const value = bytes.subarray(at, end)
      if (!/^>3\r\n\$\d\r\ns?message\r\n/.test(value.toString('latin1', 0, 24))) kept.push(value)
      at = end
    }
    this.rest = bytes.subarray(at)
    return Buffer.concat(kept)
  }
}

/** Where a value ends that begins there; -1 if it is not all there. */
function endOfValue (bytes: Buffer, at: number): number {
  const lineEnd = bytes.indexOf('\r\n', at)
  if (lineEnd === -1) return -1
  const type = String.fromCharCode(bytes[at] as number)
  const count = Number(bytes.toString('latin1', at + 1, lineEnd))
  let end = lineEnd + 2
  if ('$=!'.includes(type) && count >= 0) end += count + 2
  if (!'*>~%'.includes(type)) return end <= bytes.length ? end : -1
  for (let i = 0; i < count * (type === '%' ? 2 : 1) && end !== -1; i++) end = endOfValue(bytes, end)
  return end
}
