import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import type { Clock } from './clock.ts'
import { readDelay, readRetryAfter } from './delay.ts'
import { toCause } from './errors.ts'
import { readEvents } from './event-reader.ts'
import { toObject } from './json.ts'
import type { LinkEnd } from './link.ts'
import { Liveness } from './liveness.ts'
import { type CloseEvent, parseFrame } from './parse-frame.ts'
import { codeOfRefusal } from './refusal.ts'
import type { Position } from './position.ts'

/** The maximum of rooms on one stream, as the service sets it. */
const ROOMS = 20
/** Changes within this time open one new stream, ms. */
const GATHER_MS = 20

/** The position of a room without one. */
const NO_POSITION = '0:0'

/** The settings of the streams, and the listeners for their frames. */
export interface EventStreamsOptions {
  url: string
  token: string
  origin: string
  clock: Clock
  fetch: typeof fetch
  /** Whether the service answers a request. */
  isAlive: () => Promise<boolean>
  /** The rooms that the client wants, with their positions. */
  rooms: () => readonly { readonly name: string, readonly since: Position | undefined }[]
  onFrame: (frame: ServerFrame) => void
  onEnd: (end: LinkEnd) => void
}

/** A stream with some of the rooms. */
interface Stream {
  /** Undefined until the stream opens. */
  abort: AbortController | undefined
  rooms: Set<string>
  /** The positions that the stream was opened with, by room. */
  asked: Map<string, string>
  /** The rooms whose joins were answered since the stream was opened. */
  answered: Set<string>
  /** Undefined until the first welcome, which has the interval of the heartbeats. */
  liveness?: Liveness | undefined
}

/** The event streams of a link. A stream cannot change its rooms, so each change opens it again and resumes from the positions. */
export class EventStreams {
  readonly #options: EventStreamsOptions
  readonly #streams: Stream[] = []
  /** The ids of the joins without an answer, by room: the service answers with the room's name. */
  readonly #joinIds = new Map<string, number>()
  readonly #due = new Set<Stream>()
  #cancelTimer: (() => void) | undefined
  /** Undefined until the first welcome. */
  #heartbeatMs: number | undefined

  constructor (options: EventStreamsOptions) {
    this.#options = options
  }

  /** Opens the first stream. The others follow after its welcome, because the client ignores earlier frames. */
  open (): void {
    for (const { name } of this.#options.rooms()) this.#findFree().rooms.add(name)
    void this.#open(this.#streams[0] ?? this.#findFree())
  }

  /** Joins a room; frames that answer the join have its id. */
  join (room: string, id: number): void {
    this.#joinIds.set(room, id)
    const stream = this.#find(room) ?? this.#findFree()
    // The client may join again, or from another position.
    const isOther = stream.abort !== undefined && stream.asked.get(room) !== this.#sinceOf(room)
    const isNew = !stream.rooms.has(room) || stream.answered.has(room) || isOther
    stream.rooms.add(room)
    if (isNew) this.#openLater(stream)
  }

  /** Leaves a room. */
  leave (room: string): void {
    const stream = this.#find(room)
    if (stream === undefined) return
    stream.rooms.delete(room)
    this.#joinIds.delete(room)
    this.#openLater(stream)
  }

  /** Ends the streams. */
  close (): void {
    this.#cancelTimer?.()
    for (const stream of this.#streams) this.#stop(stream)
  }

  #find (room: string): Stream | undefined {
    return this.#streams.find(({ rooms }) => rooms.has(room))
  }

  /** A stream for one more room. */
  #findFree (): Stream {
    let stream = this.#streams.find(({ rooms }) => rooms.size < ROOMS)
    if (stream === undefined) {
      stream = { abort: undefined, rooms: new Set(), asked: new Map(), answered: new Set() }
      this.#streams.push(stream)
    }
    return stream
  }

  async #open (stream: Stream): Promise<void> {
    const { url, token, fetch, onEnd } = this.#options
    this.#stop(stream)
    stream.answered.clear()
    const { signal } = stream.abort = new AbortController()
    let end: LinkEnd
    try {
      this.#watch(stream)
      const headers = { authorization: `Bearer ${token}` }
      const response = await fetch(`${url}/v1/events?${this.#toQuery(stream)}`, { headers, signal, cache: 'no-store' })
      end = await (response.ok && response.body !== null ? this.#read(stream, response.body, signal) : readRefusal(response))
    } catch (error) {
      end = { code: 1006, cause: toCause(error) }
    }
    if (!signal.aborted) onEnd(end)
  }

  /** Reads a stream up to its end. */
  async #read (stream: Stream, body: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<LinkEnd> {
    for await (const { data } of readEvents(body, () => { stream.liveness?.hear() })) {
      if (signal.aborted) break
      let frame: ServerFrame | CloseEvent
      try {
        frame = parseFrame(data)
      } catch (error) {
        return { code: CLOSE_CODES.malformedFrame, cause: toCause(error) }
      }
      if (frame.type === 'close') {
        const { code, reason } = frame
        // At the limit of connections, another stream of this link has replaced this one.
        const isReplaced = code === CLOSE_CODES.removed && this.#streams.length > 1
        const cause = new Error(`The stream was closed with ${code} ${String(reason)}`)
        return { code: isReplaced ? CLOSE_CODES.connectionLimit : code, cause }
      }
      this.#onFrame(stream, frame)
    }
    return { code: 1006, cause: new Error('The stream has ended') }
  }

  #toQuery (stream: Stream): URLSearchParams {
    const names = [...stream.rooms].sort()
    const since = names.map((name) => this.#sinceOf(name))
    stream.asked = new Map(names.map((name, i) => [name, since[i] ?? NO_POSITION]))
    const { origin } = this.#options
    const query = new URLSearchParams([['protocol', 'roomcast.v1'], ['origin', origin], ...names.map((room) => ['room', room])])
    if (since.some((position) => position !== NO_POSITION)) query.set('since', since.join())
    return query
  }

  #sinceOf (room: string): string {
    const position = this.#options.rooms().find(({ name }) => name === room)?.since
    return position === undefined ? NO_POSITION : `${position.epoch}:${position.offset}`
  }

  /** Ends a stream now, because its frames may be outdated, and opens it soon with its rooms at that time. */
  #openLater (stream: Stream): void {
    this.#stop(stream)
    this.#due.add(stream)
    this.#cancelTimer ??= this.#options.clock.after(GATHER_MS, () => {
      this.#cancelTimer = undefined
      for (const stream of this.#due) {
        if (stream.rooms.size === 0 && this.#streams.length > 1) this.#streams.splice(this.#streams.indexOf(stream), 1)
        else void this.#open(stream)
      }
      this.#due.clear()
    })
  }

  #stop (stream: Stream): void {
    stream.abort?.abort()
    stream.liveness?.stop()
  }

  /** Watches a stream: its heartbeats, or where the service sends none, whether it answers at all. */
  #watch (stream: Stream): void {
    const { clock, isAlive, onEnd } = this.#options
    if (this.#heartbeatMs === undefined) return
    const liveness = stream.liveness = new Liveness({
      clock,
      heartbeatMs: this.#heartbeatMs,
      ping: this.#heartbeatMs > 0 ? () => {} : () => { void isAlive().then((alive) => { if (alive) liveness.hear() }) },
      onDead: () => { onEnd({ code: CLOSE_CODES.noHeartbeat, cause: new Error('The event stream was silent') }) }
    })
  }

  #onFrame ({ rooms, answered }: Stream, frame: ServerFrame): void {
    if (frame.type === 'welcome') {
      if (this.#heartbeatMs !== undefined) return
      this.#onWelcome(frame)
    } else if (frame.type === 'error' && typeof frame.id === 'string') {
      rooms.delete(frame.id)
      frame.id = this.#takeJoinId(frame.id) ?? frame.id
    } else if ('room' in frame && !rooms.has(frame.room)) return // Another stream has it, or the client does not want this automatic room.
    if (frame.type === 'joined') {
      answered.add(frame.room)
      frame.id = this.#takeJoinId(frame.room)
    }
    if (frame.type === 'left') rooms.delete(frame.room)
    this.#options.onFrame(frame)
  }

  #takeJoinId (room: string): number | undefined {
    const id = this.#joinIds.get(room)
    this.#joinIds.delete(room)
    return id
  }

  #onWelcome ({ heartbeatMs }: ServerFrames['welcome']): void {
    this.#heartbeatMs = readDelay(heartbeatMs) ?? 0
    for (const stream of this.#streams) if (stream.abort !== undefined) this.#watch(stream)
    const wanted = new Set(this.#options.rooms().map(({ name }) => name))
    for (const room of this.#streams.flatMap(({ rooms }) => [...rooms])) if (!wanted.has(room)) this.leave(room)
    for (const other of this.#streams.slice(1)) void this.#open(other)
  }
}

async function readRefusal (response: Response): Promise<LinkEnd> {
  const { status, headers } = response
  const { code, detail, retryAfterMs } = toObject(await response.json().catch(() => undefined))
  return {
    code: codeOfRefusal(status, code),
    retryAfterMs: readDelay(retryAfterMs) ?? readRetryAfter(headers),
    cause: new Error(`The service answered with ${status}${typeof detail === 'string' ? `: ${detail}` : ''}`)
  }
}
