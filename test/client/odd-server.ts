import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { Random } from '../chaos/random.ts'
import { oddText, oddValue, type Plain } from './odd-frames.ts'

/** A frame of the client. */
interface Asked { type: string, id: number, room: string, binary?: number }

/**
 * A service that knows as much of the protocol as a client needs, over WebSockets and event streams. While it is odd, it sends odd
 * frames and replies between the valid ones.
 */
export class OddServer {
  readonly url: string
  isOdd = true
  /** The odd texts and replies that were sent, and the connections that were opened. */
  sent = 0
  connections = 0
  readonly #random: Random
  readonly #sockets = new Set<Duplex>()
  #offset = 1

  private constructor (port: number, seed: number) {
    this.url = `http://127.0.0.1:${port}`
    this.#random = new Random(seed)
  }

  /** Starts one on a free port of 127.0.0.1; it ends with the test. */
  static async start (t: Test, seed: number): Promise<OddServer> {
    const http = createServer().listen(0, '127.0.0.1')
    await once(http, 'listening')
    const server = new OddServer((http.address() as AddressInfo).port, seed)
    const sockets = new WebSocketServer({ noServer: true })
    http.on('connection', (socket) => {
      server.#sockets.add(socket)
      socket.on('error', () => {}).on('close', () => { server.#sockets.delete(socket) })
    })
    http.on('upgrade', (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (ws) => { server.#onSocket(ws) })
    })
    http.on('request', (request, response) => { server.#onRequest(request, response).catch(() => { response.destroy() }) })
    t.teardown(() => {
      server.cut()
      http.close()
    })
    return server
  }

  /** Ends all connections. */
  cut (): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #welcome (): string {
    return JSON.stringify({ type: 'welcome', connection: 'c', origin: 'o', user: 'ada', expiresAt: 1, heartbeatMs: 25_000, rooms: [] })
  }

  #onSocket (ws: WebSocket): void {
    const random = this.#random
    this.connections++
    ws.on('error', () => {})
    let ids: number[] = []
    const spray = (): void => {
      for (let count = this.isOdd ? random.pick([0, 0, 1, 1, 2]) : 0; count > 0; count--) {
        this.sent++
        if (random.between(0, 9) === 0) ws.send(new Uint8Array(random.between(0, 3)))
        else ws.send(oddText(random, ids))
      }
    }
    if (this.isOdd && random.between(0, 9) === 0) spray()
    ws.send(this.#welcome())
    spray()
    ws.on('message', (data, isBinary) => {
      if (isBinary) return
      const frame = JSON.parse(String(data)) as Asked
      ids.push(frame.id)
      spray()
      if (this.isOdd && random.between(0, 3) === 0) return
      ids = ids.filter((id) => id !== frame.id)
      ws.send(JSON.stringify(this.#answer(frame)))
      if (frame.type === 'publish') ws.send(JSON.stringify(this.#message(frame.room)))
      spray()
      if (this.isOdd && random.between(0, 19) === 0) ws.terminate()
    })
  }

  #answer ({ type, id, room }: Asked): Plain {
    if (type === 'join') return { type: 'joined', id, room, epoch: 'e', offset: this.#offset, audience: 1 }
    if (type === 'leave') return { type: 'left', id, room }
    if (type === 'publish') return { type: 'ack', id, room, epoch: 'e', offset: ++this.#offset }
    if (type === 'history') return { type, id, room, epoch: 'e', offset: this.#offset, recovered: true, messages: [] }
    return { type: 'pong', id }
  }

  #message (room: string): Plain {
    return { type: 'message', room, offset: this.#offset, from: 'ada', time: 1, data: 'valid' }
  }

  async #onRequest (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks = await request.toArray() as Buffer[]
    const { pathname, searchParams } = new URL(request.url ?? '', this.url)
    response.on('error', () => {})
    if (pathname === '/v1/events') this.#onStream(searchParams.getAll('room'), response)
    else if (this.isOdd && this.#random.between(0, 1) === 0) this.#replyOddly(response)
    else this.#reply(pathname, Buffer.concat(chunks).toString(), response)
  }

  #onStream (rooms: string[], response: ServerResponse): void {
    const random = this.#random
    this.connections++
    if (this.isOdd && random.between(0, 4) === 0) {
      this.#replyOddly(response)
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const write = (text: string): void => { response.write(`data: ${text}\n\n`) }
    const spray = (): void => {
      for (let count = this.isOdd ? random.pick([0, 0, 1, 1, 2]) : 0; count > 0; count--) {
        this.sent++
        const refusal = JSON.stringify({ type: 'error', id: random.pick([...rooms, 'x']) })
        write(random.between(0, 9) === 0 ? refusal : oddText(random, [1, 2, 3, 4]))
      }
    }
    if (this.isOdd && random.between(0, 9) === 0) spray()
    write(this.#welcome())
    spray()
    for (const room of rooms) {
      write(JSON.stringify({ type: 'joined', room, epoch: 'e', offset: this.#offset, audience: 1, recovered: false }))
      write(JSON.stringify(this.#message(room)))
      spray()
    }
    // Half of an event at the end.
    if (this.isOdd && random.between(0, 9) === 0) response.end(`data: ${this.#welcome().slice(0, 20)}`)
  }

  #reply (path: string, body: string, response: ServerResponse): void {
    const json = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    }
    const published = (room: string): Plain => ({ room, epoch: 'e', offset: ++this.#offset, time: 1, audience: 1 })
    if (path === '/v1/messages') {
      const { messages } = JSON.parse(body) as { messages: { room: string }[] }
      json(200, { results: messages.map(({ room }) => published(room)) })
    } else if (path.startsWith('/v1/rooms/')) {
      json(200, { room: 'lobby', epoch: 'e', offset: this.#offset, recovered: true, messages: [] })
    } else json(201, published('@all'))
  }

  /** Replies of proxies, of other services, and broken ones. */
  #replyOddly (response: ServerResponse): void {
    const random = this.#random
    this.sent++
    const status = random.pick([200, 200, 200, 201, 207, 204, 301, 302, 400, 403, 404, 405, 413, 429, 500, 502, 503])
    const body = random.pick<() => string>([
      () => '<html>hello</html>',
      () => 'null',
      () => '[]',
      () => '{}',
      () => '',
      () => JSON.stringify(oddValue(random)),
      () => JSON.stringify({ results: oddValue(random) }),
      () => JSON.stringify({ results: [{ error: oddValue(random), time: 1 }] }),
      () => JSON.stringify({ results: [{ time: 1, epoch: oddValue(random), offset: oddValue(random) }] }),
      () => JSON.stringify({ room: 'lobby', recovered: true, messages: oddValue(random) }),
      () => JSON.stringify({ code: oddValue(random), detail: oddValue(random), retryable: true, retryAfterMs: oddValue(random) }),
      () => JSON.stringify({ code: 'forbidden', detail: 'no', retryable: false, retryAfterMs: random.pick([-1, '1', null, {}]) }),
      () => JSON.stringify({ message: 'Internal Server Error', statusCode: 500, error: 'x' })
    ])()
    const isCut = random.between(0, 9) === 0
    response.writeHead(status, {
      'content-type': random.pick(['application/json', 'text/html', 'text/event-stream']),
      ...(status > 300 && status < 303 && { location: random.pick(['/elsewhere', '/v1/events', '//']) }),
      ...(random.between(0, 3) === 0 && { 'retry-after': random.pick(['0', '-1', 'soon', '1e9', 'Thu, 01 Jan 1970 00:00:00 GMT']) }),
      ...(isCut && { 'content-length': Buffer.byteLength(body) + 10 })
    })
    response.write(body)
    if (isCut) setTimeout(() => { response.destroy() }, 1)
    else response.end()
  }
}
