import { type ClientRequest, type IncomingMessage, request as makeRequest } from 'node:http'
import type { Socket } from 'node:net'
import { makeToken } from './token.ts'
import type { Frame } from './websocket-client.ts'
import { assertServerFrame } from './server-frames.ts'
import { PATIENCE_MS } from './until.ts'

/** The frames that say where their reader is. */
const PLACED = ['message', 'joined', 'reset']

/** An event as it was dispatched. */
export interface StreamEvent {
  /** `message` where the stream gave no name. */
  type: string
  /** What stands in the event itself; undefined for none. */
  id: string | undefined
  /** What an `EventSource` would come back with. */
  lastEventId: string
  data: string
}

/** Reads event streams by the letter (HTML, section 9.2.6); what a server of ours has no reason to send is an error. */
export class EventParser {
  comments = 0
  /** The latest `retry`, ms. */
  retry: number | undefined
  lastEventId = ''
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  #rest = ''
  #type = ''
  #data = ''
  #id: string | undefined

  /** The events that are whole with these bytes. */
  push (bytes: Buffer): StreamEvent[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true })
    const events: StreamEvent[] = []
    // A carriage return at the end may be half of a line's end.
    for (let match; (match = /^([^\r\n]*)(?:\r\n|\n|\r(?!$))/.exec(this.#rest)) !== null;) {
      this.#rest = this.#rest.slice(match[0].length)
      const line = match[1] as string
      if (line === '') this.#dispatch(events)
      else this.#field(line)
    }
    return events
  }

  #field (line: string): void {
    if (line.startsWith(':')) {
      this.comments++
      return
    }
    const colon = line.indexOf(':')
    const name = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'event') this.#type = value
    else if (name === 'data') this.#data += `${value}\n`
    else if (name === 'id' && !value.includes('\0')) this.#id = this.lastEventId = value
    else if (name === 'retry' && /^\d+$/.test(value)) this.retry = Number(value)
    else throw new Error(`not a line of an event stream: ${line.slice(0, 200)}`)
  }

  #dispatch (events: StreamEvent[]): void {
    if (this.#data !== '') {
      events.push({
        type: this.#type === '' ? 'message' : this.#type,
        id: this.#id,
        lastEventId: this.lastEventId,
        data: this.#data.slice(0, -1)
      })
    }
    this.#type = ''
    this.#data = ''
    this.#id = undefined
  }
}

/** An event of Roomcast, with its frame. */
export interface FrameEvent extends Omit<StreamEvent, 'data'> {
  frame: Frame
}

/** A reader of an event stream that keeps what it gets until it is asked for. */
export class EventReader {
  readonly response: IncomingMessage
  readonly socket: Socket
  readonly parser = new EventParser()
  /** All that came, in order. */
  readonly events: FrameEvent[] = []
  /** Resolves when it is over: whether it was ended, and not cut. */
  readonly ended: Promise<boolean>
  readonly #request: ClientRequest
  readonly #left: FrameEvent[] = []
  readonly #waiting = new Set<() => void>()
  #fault: Error | undefined

  constructor (request: ClientRequest, response: IncomingMessage) {
    this.#request = request
    this.response = response
    this.socket = response.socket
    response.on('data', (bytes: Buffer) => {
      try {
        for (const event of this.parser.push(bytes)) this.#take(event)
      } catch (error) {
        this.#fault ??= error as Error
      }
      for (const look of this.#waiting) look()
    })
    this.ended = new Promise((resolve) => {
      response
        .once('end', () => { resolve(response.complete) })
        .once('error', () => { resolve(false) })
        .once('close', () => { resolve(response.complete) })
    })
    request.on('error', () => {})
    void this.ended.then(() => { for (const look of this.#waiting) look() })
  }

  get lastEventId (): string {
    return this.parser.lastEventId
  }

  get messages (): Frame[] {
    return this.events.filter(({ type }) => type === 'message').map(({ frame }) => frame)
  }

  /** The next event of a type (or that a function wants), whatever comes before it; it is taken out of what is left. */
  async next (wanted: string | ((event: FrameEvent) => boolean)): Promise<FrameEvent> {
    const matches = typeof wanted === 'string' ? ({ type }: FrameEvent) => type === wanted : wanted
    let found: FrameEvent | undefined
    await this.until(() => {
      const index = this.#left.findIndex(matches)
      if (index !== -1) [found] = this.#left.splice(index, 1)
      return found !== undefined
    }, String(wanted))
    return found as FrameEvent
  }

  /** The next message with a text. */
  async text (text: string): Promise<FrameEvent> {
    return await this.next(({ frame }) => frame.text === text)
  }

  /** Looks again whenever something comes. */
  async until (condition: () => boolean, what = 'a condition'): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void => {
        finish()
        reject(new Error(`${why} for ${what}; received: ${JSON.stringify(this.events).slice(0, 1_000)}`, { cause: this.#fault }))
      }
      const look = (): void => {
        if (this.#fault !== undefined) fail(`a fault (${this.#fault.message}), waiting`)
        else if (condition()) {
          finish()
          resolve()
        } else if (this.response.closed) fail('the stream ended, waiting')
      }
      const finish = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
      }
      const timer = setTimeout(() => { fail('waited in vain') }, PATIENCE_MS)
      this.#waiting.add(look)
      look()
    })
  }

  /** Goes, as a page does that is closed. */
  close (): void {
    this.#request.destroy()
  }

  /** Vanishes. */
  reset (): void {
    this.socket.resetAndDestroy()
  }

  #take ({ data, ...event }: StreamEvent): void {
    const frame = JSON.parse(data) as Frame
    if (frame.type !== event.type) throw new Error(`an event ${event.type} with the frame ${data.slice(0, 200)}`)
    if (event.id !== undefined && !PLACED.includes(event.type)) throw new Error(`an event ${event.type} with an id`)
    assertFrame(frame)
    this.events.push({ ...event, frame })
    this.#left.push({ ...event, frame })
  }
}

/** As a socket's, but that bytes stand in the frame, and a close code is one. */
function assertFrame ({ base64, ...frame }: Frame): void {
  if (frame.type === 'close') {
    const { type, code, reason, ...rest } = frame
    if (typeof code !== 'number' || typeof reason !== 'string' || Object.keys(rest).length > 0) {
      throw new Error(`a bad close event: ${JSON.stringify(frame)}`)
    }
    return
  }
  assertServerFrame({ ...frame, ...(base64 !== undefined && { binary: Buffer.from(String(base64), 'base64').length }) })
}

export interface EventOptions {
  /** `''` for none. */
  token?: string
  headers?: Record<string, string>
}

/** The answer to a request for a stream that was refused. */
export interface Refusal {
  status: number
  headers: Record<string, unknown>
  body: unknown
}

/** Asks for a stream, as `ada` unless told otherwise. */
export async function askForEvents (
  { url }: { url: string },
  path: string,
  { token = makeToken(), headers = {} }: EventOptions = {}
): Promise<EventReader | Refusal> {
  const request = makeRequest(`${url}${path}`, {
    agent: false,
    headers: { accept: 'text/event-stream', ...(token !== '' && { authorization: `Bearer ${token}` }), ...headers }
  })
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject).end()
  })
  if (response.statusCode === 200) return new EventReader(request, response)
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return { status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(body) as unknown }
}

export async function openEvents (service: { url: string }, path: string, options?: EventOptions): Promise<EventReader> {
  const answer = await askForEvents(service, path, options)
  if (!(answer instanceof EventReader)) throw new Error(`refused with ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer
}

export async function refusalOfEvents (service: { url: string }, path: string, options?: EventOptions): Promise<Refusal> {
  const answer = await askForEvents(service, path, options)
  if (!(answer instanceof EventReader)) return answer
  answer.close()
  throw new Error('was not refused')
}
