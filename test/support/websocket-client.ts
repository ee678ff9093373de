import { once } from 'node:events'
import { type ClientOptions, WebSocket } from 'ws'
import { assertServerFrame } from './server-frames.ts'
import type { Service } from './service.ts'
import { makeToken } from './token.ts'
import { PATIENCE_MS } from './until.ts'

/** Frames as they come over the wire. */
export type Frame = Record<string, unknown> & { type: string }

/** A WebSocket client that keeps received frames until a test takes them. */
export class Client {
  readonly ws: WebSocket
  /** Resolves with how it ended. */
  readonly closed: Promise<{ code: number, reason: string }>
  readonly #received: (Frame | Buffer)[] = []
  readonly #waiting: { wanted: (item: Frame | Buffer) => boolean, resolve: (item: Frame | Buffer) => void }[] = []

  constructor (ws: WebSocket) {
    this.ws = ws
    this.closed = new Promise((resolve) => { ws.once('close', (code, reason) => { resolve({ code, reason: reason.toString() }) }) })
    ws.on('error', () => {}) // Tests look at the close code.
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      const item = isBinary ? Buffer.from(data) : JSON.parse(data.toString()) as Frame
      if (!isBinary) assertServerFrame(item)
      const index = this.#waiting.findIndex(({ wanted }) => wanted(item))
      if (index === -1) this.#received.push(item)
      else this.#waiting.splice(index, 1)[0]?.resolve(item)
    })
  }

  /** Sends a frame: an object as JSON text, a string as it is, bytes as a binary frame. */
  send (frame: object | string | Buffer): void {
    this.ws.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame))
  }

  /** Takes the next frame of a type, or the next one that a function accepts; earlier frames stay. */
  async next (wanted: string | ((frame: Frame) => boolean)): Promise<Frame> {
    const matches = typeof wanted === 'string' ? (frame: Frame) => frame.type === wanted : wanted
    return await this.#take((item) => !Buffer.isBuffer(item) && matches(item), String(wanted)) as Frame
  }

  /** The next binary frame. */
  async nextBinary (): Promise<Buffer> {
    return await this.#take((item) => Buffer.isBuffer(item), 'a binary frame') as Buffer
  }

  /** Sends a frame and waits for the answer with its id: the frame itself, or an error. */
  async ask (frame: Record<string, unknown>): Promise<Frame> {
    const id = frame.id ?? `ask-${Math.random()}`
    this.send({ ...frame, id })
    return await this.next((answer) => answer.id === id)
  }

  async join (room: string): Promise<Frame> {
    return await this.ask({ type: 'join', room })
  }

  /** Takes all received frames once the server has answered a ping: every earlier frame has arrived by then. */
  async drain (): Promise<(Frame | Buffer)[]> {
    await this.ask({ type: 'ping' })
    return this.#received.splice(0)
  }

  async #take (wanted: (item: Frame | Buffer) => boolean, what: string): Promise<Frame | Buffer> {
    const index = this.#received.findIndex(wanted)
    if (index !== -1) return this.#received.splice(index, 1)[0] as Frame | Buffer
    let timer: NodeJS.Timeout | undefined
    const received = this.#received
    return await Promise.race([
      new Promise<Frame | Buffer>((resolve) => { this.#waiting.push({ wanted, resolve }) }),
      new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => {
          reject(new Error(`waited in vain for ${what}; received: ${received.map(String).join(' ').slice(0, 500)}`))
        }, PATIENCE_MS)
      })
    ]).finally(() => { clearTimeout(timer) })
  }
}

/** The options of a client's connection. */
export interface ConnectOptions extends ClientOptions {
  /** `''` for none. */
  token?: string
  /** The rest of the query, such as `room=lobby`. */
  query?: string
  protocols?: string[]
}

/** Opens a connection, as `ada` unless told otherwise; rejects with the status where the upgrade is refused. */
export async function connect (
  service: Service,
  { token = makeToken(), query = '', protocols = [], ...options }: ConnectOptions = {}
): Promise<Client> {
  const parameters = [token === '' ? '' : `token=${token}`, query].filter((part) => part !== '').join('&')
  const ws = new WebSocket(`${service.url.replace('http', 'ws')}/ws?${parameters}`, protocols, options)
  const client = new Client(ws)
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve)
    ws.once('error', reject)
    ws.once('unexpected-response', (_request, response) => {
      let body = ''
      response.on('data', (chunk) => { body += String(chunk) })
      response.on('end', () => {
        reject(
          Object.assign(new Error(`refused with ${response.statusCode}`), { status: response.statusCode, headers: response.headers, body })
        )
      })
    })
  })
  return client
}

/** How an upgrade is refused. */
export async function refusal (
  service: Service,
  options: ConnectOptions = {}
): Promise<{ status: number, headers: Record<string, string>, body: any }> { // eslint-disable-line @typescript-eslint/no-explicit-any
  const error = await connect(service, options).then(
    () => { throw new Error('was not refused') },
    (error: unknown) => error
  ) as { status?: number, headers: Record<string, string>, body: string }
  if (error.status === undefined) throw new Error('did not come to an answer', { cause: error })
  return { status: error.status, headers: error.headers, body: JSON.parse(error.body) }
}

/** Resolves when a client's socket is closed. */
export async function close (client: Client): Promise<void> {
  client.ws.close()
  if (client.ws.readyState !== WebSocket.CLOSED) await once(client.ws, 'close')
}
