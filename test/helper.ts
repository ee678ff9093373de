import { createHmac, sign as signWithKey, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { type ClientOptions, WebSocket } from 'ws'
import { readConfig } from '../src/config.ts'
import { buildStandalone } from '../src/standalone.ts'
import { assertServerFrame } from './server-frames.ts'

/** What every service under test signs with, unless it is told otherwise. */
export const SECRET = 'a secret of the tests, thirty-two bytes long'

/** Waiting for something takes no longer than this: a test that hangs should say where, ms. */
const PATIENCE_MS = 20_000

/** Frames as they come over the wire. */
export type Frame = Record<string, unknown> & { type: string }

/** A service that listens on a free port of 127.0.0.1. */
export interface Service {
  app: FastifyInstance
  /** `http://127.0.0.1:…` */
  url: string
  port: number
  /** What it has logged, line by line. */
  log: string[]
}

/**
 * Starts a service with settings from an environment of its own; closes it when the test is over.
 *
 * @param prepare called before it listens, for hooks and routes of the application around it
 */
export async function startService (t: Test, environment: Record<string, string> = {}, prepare?: (app: FastifyInstance) => void): Promise<Service> {
  const log: string[] = []
  const stream = new Writable({ write (chunk, _encoding, done) { log.push(String(chunk)); done() } })
  const app = buildStandalone(readConfig({ JWT_SECRET: SECRET, LOG_LEVEL: 'trace', ...environment }), stream)
  prepare?.(app)
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => { await app.close() })
  const { port } = app.server.address() as AddressInfo
  return { app, url: `http://127.0.0.1:${port}`, port, log }
}

/** A token: HS256 with `SECRET` for `ada`, good for an hour, unless claims, header or key say otherwise. `undefined` leaves a claim out. */
export function makeToken (claims: Record<string, unknown> = {}, { header = {}, key = SECRET }: { header?: Record<string, unknown>, key?: string | KeyObject } = {}): string {
  const fullHeader = { alg: 'HS256', typ: 'JWT', ...header }
  const input = `${encode(fullHeader)}.${encode({ sub: 'ada', exp: Math.floor(Date.now() / 1_000) + 3_600, ...claims })}`
  return `${input}.${makeSignature(fullHeader.alg, input, key)}`
}

function encode (value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function makeSignature (alg: string, input: string, key: string | KeyObject): string {
  const hash = `sha${alg.slice(2)}`
  if (alg.startsWith('HS')) return createHmac(hash, key).update(input).digest('base64url')
  if (alg === 'none') return ''
  const padding = alg.startsWith('PS') ? { padding: 6, saltLength: -1 } : {} // RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST
  return signWithKey(alg === 'EdDSA' ? null : hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363', ...padding } as never).toString('base64url')
}

/** A call of the REST API, with `ada`'s token unless told otherwise; objects are sent as JSON. */
export async function call (service: Service, method: string, path: string, { body, token = makeToken(), headers = {} }: { body?: unknown, token?: string, headers?: Record<string, string> } = {}): Promise<{ status: number, headers: Headers, body: any }> { // eslint-disable-line @typescript-eslint/no-explicit-any
  const isJson = body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body)
  const response = await fetch(`${service.url}${path}`, {
    method,
    headers: {
      ...(token !== '' && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': isJson || typeof body === 'string' ? 'application/json' : 'application/octet-stream' }),
      ...headers
    },
    ...(body !== undefined && { body: isJson ? JSON.stringify(body) : body as string })
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : text }
}

/** A WebSocket client that keeps what it gets until it is asked for. */
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

  /** The next frame of a type (or that a function wants), whatever comes before it; it is taken out of what was received. */
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

  /** Everything received and not yet taken, once the server has answered a ping: nothing more is on its way. */
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
        timer = setTimeout(() => { reject(new Error(`waited in vain for ${what}; received: ${received.map(String).join(' ').slice(0, 500)}`)) }, PATIENCE_MS)
      })
    ]).finally(() => { clearTimeout(timer) })
  }
}

/** What a client connects with. */
export interface ConnectOptions extends ClientOptions {
  /** `''` for none. */
  token?: string
  /** The rest of the query, such as `room=lobby`. */
  query?: string
  protocols?: string[]
}

/** Opens a connection, as `ada` unless told otherwise; rejects with the status where the upgrade is refused. */
export async function connect (service: Service, { token = makeToken(), query = '', protocols = [], ...options }: ConnectOptions = {}): Promise<Client> {
  const parameters = [token === '' ? '' : `token=${token}`, query].filter((part) => part !== '').join('&')
  const ws = new WebSocket(`${service.url.replace('http', 'ws')}/ws?${parameters}`, protocols, options)
  const client = new Client(ws)
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve)
    ws.once('error', reject)
    ws.once('unexpected-response', (_request, response) => {
      let body = ''
      response.on('data', (chunk) => { body += String(chunk) })
      response.on('end', () => { reject(Object.assign(new Error(`refused with ${response.statusCode}`), { status: response.statusCode, headers: response.headers, body })) })
    })
  })
  return client
}

/** How an upgrade is refused. */
export async function refusal (service: Service, options: ConnectOptions = {}): Promise<{ status: number, headers: Record<string, string>, body: any }> { // eslint-disable-line @typescript-eslint/no-explicit-any
  const error = await connect(service, options).then(() => { throw new Error('was not refused') }, (error: unknown) => error) as { status?: number, headers: Record<string, string>, body: string }
  if (error.status === undefined) throw new Error('did not come to an answer', { cause: error })
  return { status: error.status, headers: error.headers, body: JSON.parse(error.body) }
}

/** Resolves when a condition holds; looks again whenever the event loop has turned. */
export async function until (condition: () => boolean | Promise<boolean>, what = 'a condition'): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Resolves when a client's socket is gone. */
export async function close (client: Client): Promise<void> {
  client.ws.close()
  if (client.ws.readyState !== WebSocket.CLOSED) await once(client.ws, 'close')
}

setFlagsFromString('--expose-gc')

/** Collects garbage now, so that what is left is in use. */
export const collectGarbage = runInNewContext('gc') as () => void
