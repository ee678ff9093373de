import { once } from 'node:events'
import {
  type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders, type IncomingHttpStatusHeader
} from 'node:http2'
import type { Test } from 'tap'
import { EventParser, type StreamEvent } from './event-stream.ts'
import { makeToken } from './token.ts'
import { until } from './until.ts'

/** An answer over HTTP/2. */
export interface Http2Answer {
  status: number
  headers: IncomingHttpHeaders & IncomingHttpStatusHeader
  body: string
  json: any // eslint-disable-line @typescript-eslint/no-explicit-any
}

/** Headers of a request over HTTP/2, with `ada`'s token. */
function headersOf (method: string, path: string, headers: Record<string, string>): Record<string, string> {
  return { ':method': method, ':path': path, authorization: `Bearer ${makeToken()}`, ...headers }
}

/** A client of one session. */
export class Http2Client {
  readonly session: ClientHttp2Session

  constructor (t: Test, url: string) {
    this.session = connect(url, { rejectUnauthorized: false })
    this.session.on('error', () => {})
    t.teardown(() => { this.session.destroy() })
  }

  async call (method: string, path: string, { body }: { body?: unknown } = {}): Promise<Http2Answer> {
    const stream = this.session.request(headersOf(method, path, body === undefined ? {} : { 'content-type': 'application/json' }))
    stream.end(body === undefined ? undefined : JSON.stringify(body))
    const [answer] = await once(stream, 'response') as [Http2Answer['headers']]
    let text = ''
    for await (const chunk of stream) text += String(chunk)
    const isJson = answer['content-type']?.includes('json') === true
    return { status: answer[':status'] ?? 0, headers: answer, body: text, json: isJson && text !== '' ? JSON.parse(text) : undefined }
  }

  /** Opens an event stream. */
  async openEvents (path: string): Promise<Http2Events> {
    const stream = this.session.request(headersOf('GET', path, {}))
    const [headers] = await once(stream, 'response') as [Http2Answer['headers']]
    return new Http2Events(stream, headers)
  }
}

/** A reader of an event stream over HTTP/2. */
export class Http2Events {
  readonly stream: ClientHttp2Stream
  readonly headers: Http2Answer['headers']
  readonly events: StreamEvent[] = []
  readonly ended: Promise<unknown>
  readonly #parser = new EventParser()

  constructor (stream: ClientHttp2Stream, headers: Http2Answer['headers']) {
    this.stream = stream
    this.headers = headers
    this.ended = once(stream, 'close')
    stream.on('error', () => {})
    stream.on('data', (bytes: Buffer) => { this.events.push(...this.#parser.push(bytes)) })
  }

  /** Resolves with the frame of the first event of a type. */
  async next (type: string): Promise<Record<string, unknown>> {
    const find = (): StreamEvent | undefined => this.events.find((event) => event.type === type)
    await until(() => find() !== undefined, `an event ${type}`)
    return JSON.parse(find()?.data ?? '') as Record<string, unknown>
  }
}
