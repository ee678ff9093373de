import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import { readEvents } from './event-reader.ts'
import type { LinkEnd } from './link.ts'
import { codeOfRefusal } from './refusal.ts'
import type { Position } from './position.ts'

/** The maximum of rooms on one stream, as the service sets it. */
const ROOMS = 20
/** Changes within this time open one new stream, ms. */
const GATHER_MS = 20
/** The longest delay of a heartbeat, ms. */
const LATE_MS = 10_000

/** The settings of the streams, and the listeners for their frames. */
export interface EventStreamsOptions {
  url: string
  token: string
  origin: string
  fetch: typeof fetch
  /** The rooms that the client wants, with their positions. */
  rooms: () => readonly { readonly name: string, readonly position: Position | undefined }[]
  onFrame: (frame: ServerFrame) => void
  onEnd: (end: LinkEnd) => void
}

/** A stream with some of the rooms. */
interface Stream {
  /** Undefined until the stream opens. */
  abort: AbortController | undefined
  rooms: Set<string>
  heardAt: number
}

/** The event streams of a link. A stream cannot change its rooms, so each change opens it again and resumes from the positions. */
export class EventStreams {
  readonly #options: EventStreamsOptions
  readonly #streams: Stream[] = []
  /** The id of the latest join, by room: the service answers with the room's name. */
  readonly #joinIds = new Map<string, number>()
  readonly #due = new Set<Stream>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #watch: ReturnType<typeof setInterval> | undefined
  #isWelcome = false

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
    if (this.#find(room) !== undefined) return
    const stream = this.#findFree()
    stream.rooms.add(room)
    this.#openLater(stream)
  }

  /** Leaves a room. */
  leave (room: string): void {
    const stream = this.#find(room)
    if (stream === undefined) return
    stream.rooms.delete(room)
    this.#openLater(stream)
  }

  /** Ends the streams. */
  close (): void {
    clearTimeout(this.#timer)
    clearInterval(this.#watch)
    for (const { abort } of this.#streams) abort?.abort()
  }

  #find (room: string): Stream | undefined {
    return this.#streams.find(({ rooms }) => rooms.has(room))
  }

  /** A stream for one more room. */
  #findFree (): Stream {
    let stream = this.#streams.find(({ rooms }) => rooms.size < ROOMS)
    if (stream === undefined) {
      stream = { abort: undefined, rooms: new Set(), heardAt: Date.now() }
      this.#streams.push(stream)
    }
    return stream
  }

  async #open (stream: Stream): Promise<void> {
    const { url, token, fetch, onEnd } = this.#options
    this.#stop(stream)
    const { signal } = stream.abort = new AbortController()
    let end: LinkEnd = { code: 1006 }
    try {
      const headers = { authorization: `Bearer ${token}` }
      const response = await fetch(`${url}/v1/events?${this.#toQuery(stream)}`, { headers, signal, cache: 'no-store' })
      if (!response.ok || response.body === null) end = await readRefusal(response)
      else {
        for await (const { data } of readEvents(response.body, () => { stream.heardAt = Date.now() })) {
          if (signal.aborted) return
          const frame: ServerFrame | { type: 'close', code: number } = JSON.parse(data)
          if (frame.type === 'close') {
            end = frame
            // At the limit of connections, another stream of this link has replaced this one.
            if (end.code === CLOSE_CODES.removed.code && this.#streams.length > 1) end = { code: CLOSE_CODES.connectionLimit.code }
            break
          }
          this.#onFrame(stream, frame)
        }
      }
    } catch {} // A broken stream has ended as well.
    if (!signal.aborted) onEnd(end)
  }

  #toQuery ({ rooms }: Stream): URLSearchParams {
    const { origin, rooms: getWanted } = this.#options
    const names = [...rooms].sort()
    const query = new URLSearchParams([['protocol', 'roomcast.v1'], ['origin', origin], ...names.map((room) => ['room', room])])
    const positions = new Map(getWanted().map(({ name, position }) => [name, position]))
    const since = names.map((name) => positions.get(name))
    if (since.some(Boolean)) query.set('since', since.map((at) => at === undefined ? '0:0' : `${at.epoch}:${at.offset}`).join())
    return query
  }

  /** Ends a stream now, because its frames may be outdated, and opens it soon with its rooms at that time. */
  #openLater (stream: Stream): void {
    this.#stop(stream)
    this.#due.add(stream)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      for (const stream of this.#due) {
        if (stream.rooms.size === 0 && this.#streams.length > 1) this.#streams.splice(this.#streams.indexOf(stream), 1)
        else void this.#open(stream)
      }
      this.#due.clear()
    }, GATHER_MS)
  }

  #stop (stream: Stream): void {
    stream.abort?.abort()
    stream.heardAt = Date.now()
  }

  #onFrame ({ rooms }: Stream, frame: ServerFrame): void {
    if (frame.type === 'welcome') {
      if (this.#isWelcome) return
      this.#onWelcome(frame)
    } else if (frame.type === 'error' && typeof frame.id === 'string') {
      rooms.delete(frame.id)
      frame.id = this.#joinIds.get(frame.id)
    } else if ('room' in frame && !rooms.has(frame.room)) return // Another stream has it, or the client does not want this automatic room.
    if (frame.type === 'joined') frame.id = this.#joinIds.get(frame.room)
    if (frame.type === 'left') rooms.delete(frame.room)
    this.#options.onFrame(frame)
  }

  #onWelcome ({ heartbeatMs }: ServerFrames['welcome']): void {
    this.#isWelcome = true
    if (heartbeatMs > 0) {
      this.#watch = setInterval(() => {
        const isDead = this.#streams.some(({ heardAt }) => Date.now() - heardAt > heartbeatMs + LATE_MS)
        if (isDead) this.#options.onEnd({ code: CLOSE_CODES.noHeartbeat.code })
      }, heartbeatMs)
    }
    const wanted = new Set(this.#options.rooms().map(({ name }) => name))
    for (const room of this.#streams.flatMap(({ rooms }) => [...rooms])) if (!wanted.has(room)) this.leave(room)
    for (const other of this.#streams.slice(1)) void this.#open(other)
  }
}

async function readRefusal (response: Response): Promise<LinkEnd> {
  const { code, retryAfterMs }: { code?: string, retryAfterMs?: number } = await response.json().catch(() => ({}))
  return { code: codeOfRefusal(response.status, code), retryAfterMs }
}
