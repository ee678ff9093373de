import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ClientFrames, ServerFrame } from '../src/protocol/frames.ts'
import { encodeBase64 } from './base64.ts'
import { readEvents } from './event-reader.ts'
import type { Link, LinkEnd, LinkOptions, SentFrame } from './link.ts'
import type { Position } from './position.ts'

/** Rooms of one stream; what the service takes. */
const ROOMS = 20
/** Joins within this time are one new stream, ms. */
const GATHER_MS = 20
/** Publishes that go in one request: what the service takes of them, and well under what it takes of bytes unless it is set to take less. */
const BATCH_ITEMS = 100
const BATCH_BYTES = 400_000
/** A heartbeat may be this late, ms. */
const LATE_MS = 10_000
/** An answer to a request comes within this, ms. */
const ANSWER_MS = 30_000

export interface EventStreamLinkOptions extends LinkOptions {
  fetch: typeof fetch
  /** The rooms that are wanted, with what the client has of each. */
  rooms: () => readonly { readonly name: string, readonly position: Position | undefined }[]
}

type Json = Record<string, unknown>

/** A publish that waits for its request. */
interface Waiting {
  frame: ClientFrames['publish']
  bytes: Uint8Array | undefined
}

interface Answer {
  ok: boolean
  status: number
  body: Json
}

/** A stream with some of the rooms. */
interface Stream {
  /** Undefined before it is opened. */
  abort: AbortController | undefined
  rooms: Set<string>
  heardAt: number
}

/**
 * A link by server-sent events and POST, for where WebSockets do not get through: it speaks the same frames. A stream
 * cannot be told to join or leave a room; it is opened again with other rooms, from where the client is.
 */
export function openEventStream ({ url, token, origin, listener, fetch, rooms }: EventStreamLinkOptions): Link {
  const headers = { authorization: `Bearer ${token}` }
  const streams: Stream[] = []
  /** In their order: a request at a time, so that messages keep it. */
  const queue: Waiting[] = []
  const asking = new AbortController()
  const due = new Set<Stream>()
  /** The id of the latest join, by room: the service answers with the room's name. */
  const joinIds = new Map<string, number>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let watch: ReturnType<typeof setInterval> | undefined
  let user = ''
  let isWelcome = false
  let isPosting = false
  let maxItems = BATCH_ITEMS
  let ended = false

  function close (): void {
    ended = true
    clearTimeout(timer)
    clearInterval(watch)
    asking.abort()
    for (const { abort } of streams) abort?.abort()
  }

  function end (code: number, retryAfterMs?: number): void {
    if (ended) return
    close()
    listener.onEnd({ code, retryAfterMs })
  }

  function streamOf (room: string): Stream | undefined {
    return streams.find((stream) => stream.rooms.has(room))
  }

  /** A stream with room for one more. */
  function freeStream (): Stream {
    let stream = streams.find(({ rooms }) => rooms.size < ROOMS)
    if (stream === undefined) {
      stream = { abort: undefined, rooms: new Set(), heardAt: Date.now() }
      streams.push(stream)
    }
    return stream
  }

  async function open (stream: Stream): Promise<void> {
    stream.abort?.abort()
    stream.heardAt = Date.now()
    const { signal } = stream.abort = new AbortController()
    const names = [...stream.rooms].sort()
    const wanted = new Map(rooms().map(({ name, position }) => [name, position]))
    const query = new URLSearchParams([['protocol', 'roomcast.v1'], ['origin', origin], ...names.map((room) => ['room', room])])
    if (names.some((room) => wanted.get(room) !== undefined)) query.set('since', names.map((room) => toSince(wanted.get(room))).join())
    let how: LinkEnd = { code: 1006 }
    try {
      const response = await fetch(`${url}/v1/events?${query}`, { headers, signal, cache: 'no-store' })
      if (!response.ok || response.body === null) how = await readRefusal(response)
      else {
        for await (const { data } of readEvents(response.body, () => { stream.heardAt = Date.now() })) {
          if (signal.aborted) return
          const frame = JSON.parse(data) as ServerFrame | { type: 'close', code: number }
          if (frame.type === 'close') {
            how = frame
            break
          }
          onFrame(stream, frame)
        }
      }
    } catch {} // It has ended, one way or another.
    if (!signal.aborted) end(how.code, how.retryAfterMs)
  }

  function onFrame (stream: Stream, frame: ServerFrame): void {
    if (frame.type === 'welcome') {
      if (isWelcome) return
      isWelcome = true
      user = frame.user
      const { heartbeatMs } = frame
      if (heartbeatMs > 0) {
        watch = setInterval(() => {
          if (streams.some(({ heardAt }) => Date.now() - heardAt > heartbeatMs + LATE_MS)) end(CLOSE_CODES.noHeartbeat.code)
        }, heartbeatMs)
      }
      const wanted = new Set(rooms().map(({ name }) => name))
      for (const room of streams.flatMap(({ rooms }) => [...rooms])) if (!wanted.has(room)) leave(room)
      for (const other of streams.slice(1)) void open(other)
    } else if (frame.type === 'error' && typeof frame.id === 'string') {
      stream.rooms.delete(frame.id)
      frame.id = joinIds.get(frame.id)
    } else if ('room' in frame && !stream.rooms.has(frame.room)) return // An automatic room that nobody wants, or another stream has.
    if (frame.type === 'joined') frame.id = joinIds.get(frame.room)
    if (frame.type === 'left') stream.rooms.delete(frame.room)
    listener.onFrame(frame)
  }

  /** With the rooms that it has by then. Until then nothing comes of it that was true before. */
  function openLater (stream: Stream): void {
    stream.abort?.abort()
    stream.heardAt = Date.now()
    due.add(stream)
    timer ??= setTimeout(() => {
      timer = undefined
      for (const stream of due) {
        if (stream.rooms.size === 0 && streams.length > 1) streams.splice(streams.indexOf(stream), 1)
        else void open(stream)
      }
      due.clear()
    }, GATHER_MS)
  }

  function leave (room: string): void {
    const stream = streamOf(room)
    if (stream?.rooms.delete(room) === true) openLater(stream)
  }

  /** What the service answers. Where it does not, the link is no good: everything is asked for again on the next. */
  async function ask (path: string, more: Record<string, string> = {}, body?: string | Uint8Array): Promise<Answer | undefined> {
    const timer = setTimeout(() => { end(CLOSE_CODES.noHeartbeat.code) }, ANSWER_MS)
    try {
      const response = await fetch(`${url}/v1${path}`, { ...(body !== undefined && { method: 'POST', body: body as BodyInit }), headers: { ...headers, ...more }, signal: asking.signal })
      const { ok, status } = response
      if (status === 401) end(CLOSE_CODES.unauthorized.code)
      // Something on the way may say this, in HTML.
      return { ok, status, body: status === 413 ? { code: 'message_too_large', detail: 'The message is larger than the service takes' } : await response.json() as Json }
    } catch {
      end(1006)
    } finally {
      clearTimeout(timer)
    }
  }

  async function publish (): Promise<void> {
    if (isPosting) return
    isPosting = true
    while (queue.length > 0) {
      const batch = takeBatch(queue, maxItems)
      const [first] = batch as [Waiting]
      const items = batch.map(({ frame, bytes }) => toItem(frame, bytes, origin))
      const answer = isAutomatic(first)
        ? await postAlone(first, items[0] as Json)
        : await ask('/messages', { 'content-type': 'application/json' }, JSON.stringify({ messages: items }))
      if (ended || answer === undefined) return
      const { ok, status, body } = answer
      if (status === 413 && batch.length > 1) {
        maxItems = batch.length >> 1
        queue.unshift(...batch)
        continue
      }
      let retryable: Json | undefined
      batch.forEach(({ frame: { id, room } }, i) => {
        const result = (ok ? body.results as Json[] | undefined : undefined)?.[i] ?? body
        const problem = (result.error ?? (ok ? undefined : result)) as Json | undefined
        if (problem?.retryable === true) retryable ??= problem
        listener.onFrame(problem === undefined ? { ...result, type: 'ack', id, room } as ServerFrame : toError(id, problem))
      })
      // What comes behind it must not be in the room before it.
      if (retryable !== undefined) for (const { frame: { id } } of queue.splice(0)) listener.onFrame(toError(id, retryable))
    }
    isPosting = false
  }

  /** Rooms that have routes of their own. */
  async function postAlone ({ frame, bytes }: Waiting, { room, key, base64, ...json }: Json): Promise<Answer | undefined> {
    const path = room === '@all' ? '/broadcast' : `/users/${encodeURIComponent(user)}/messages`
    const idempotency = { 'idempotency-key': key as string }
    if (bytes === undefined) return await ask(path, { ...idempotency, 'content-type': 'application/json' }, JSON.stringify(json))
    const query = new URLSearchParams({ ...(frame.event !== undefined && { event: frame.event }), ...(frame.echo === false && { exclude: origin }) })
    return await ask(`${path}?${query}`, { ...idempotency, 'content-type': 'application/octet-stream' }, bytes)
  }

  async function readHistory ({ type, room, id, ...options }: ClientFrames['history']): Promise<void> {
    const query = new URLSearchParams(JSON.parse(JSON.stringify(options)) as Record<string, string>) // Without what is undefined.
    const answer = await ask(`/rooms/${encodeURIComponent(room)}/messages?${query}`)
    if (answer !== undefined && !ended) listener.onFrame(answer.ok ? { ...answer.body, type, id } as ServerFrame : toError(id, answer.body))
  }

  for (const { name } of rooms()) freeStream().rooms.add(name)
  if (streams.length === 0) freeStream()
  void open(streams[0] as Stream) // The others when it is welcome: frames before that would be nobody's.

  return {
    close,
    send (frame: SentFrame, bytes?: Uint8Array) {
      if (frame.type === 'join') {
        joinIds.set(frame.room, frame.id)
        if (streamOf(frame.room) !== undefined) return
        const stream = freeStream()
        stream.rooms.add(frame.room)
        openLater(stream)
      } else if (frame.type === 'leave') leave(frame.room)
      else if (frame.type === 'publish') {
        queue.push({ frame, bytes })
        void publish()
      } else if (frame.type === 'history') void readHistory(frame)
    }
  }
}

function toSince (position: Position | undefined): string {
  return position === undefined ? '0:0' : `${position.epoch}:${position.offset}`
}

function takeBatch (queue: Waiting[], maxItems: number): Waiting[] {
  let count = 0
  let bytes = 0
  for (const waiting of queue) {
    bytes += waiting.bytes?.length ?? JSON.stringify(waiting.frame.data).length
    if (count > 0 && (count === maxItems || bytes > BATCH_BYTES || isAutomatic(waiting) || isAutomatic(queue[0] as Waiting))) break
    count++
  }
  return queue.splice(0, count)
}

function isAutomatic ({ frame }: Waiting): boolean {
  return frame.room?.startsWith('@') === true
}

/** A publish as it stands in a REST request. */
function toItem ({ room, data, event, key, echo }: ClientFrames['publish'], bytes: Uint8Array | undefined, origin: string): Json {
  return { room, ...(bytes === undefined ? { data } : { base64: encodeBase64(bytes) }), event, key, ...(echo === false && { exclude: origin }) }
}

/** A problem document as the frame that says the same. */
function toError (id: unknown, { code, detail: text, retryable, retryAfterMs }: Json): ServerFrame {
  return { type: 'error', id, code, text, retryable, retryAfterMs } as ServerFrame
}

/** What a refusal would be on a WebSocket. */
async function readRefusal (response: Response): Promise<LinkEnd> {
  const { retryAfterMs } = await response.json().catch(() => ({})) as { retryAfterMs?: number }
  const { unauthorized, overloaded } = CLOSE_CODES
  const code = response.status === 401 ? unauthorized.code : response.status === 429 || response.status === 503 ? overloaded.code : 1006
  return { code, retryAfterMs }
}
