import { CLOSE_CODES } from '../src/protocol/close-codes.ts'
import type { ClientFrame, ClientFrames, ServerFrame } from '../src/protocol/frames.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { readEvents } from './event-reader.ts'
import type { Link, LinkEnd, LinkOptions } from './link.ts'

/** Rooms of one stream; what the service takes. */
const ROOMS = 20
/** Joins within this time are one new stream, ms. */
const GATHER_MS = 20
/** Publishes that go in one request: what the service takes of them, and well under what it takes of bytes. */
const BATCH_ITEMS = 100
const BATCH_BYTES = 400_000

export interface EventStreamLinkOptions extends LinkOptions {
  fetch: typeof fetch
  /** The rooms that are wanted, with what the client has of each. */
  rooms: () => Map<string, string | undefined>
}

/** A publish that waits for its request. */
interface Waiting {
  frame: ClientFrames['publish']
  bytes: Uint8Array | undefined
}

/** A stream with some of the rooms. */
interface Stream {
  /** Undefined where the stream has what was asked of it. */
  abort: AbortController | undefined
  rooms: Set<string>
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
  const posting = new AbortController()
  const due = new Set<Stream>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let user = ''
  let isWelcome = false
  let isPosting = false
  let ended = false

  function close (): void {
    ended = true
    clearTimeout(timer)
    posting.abort()
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
      stream = { abort: undefined, rooms: new Set() }
      streams.push(stream)
    }
    return stream
  }

  async function open (stream: Stream): Promise<void> {
    stream.abort?.abort()
    const abort = stream.abort = new AbortController()
    const names = [...stream.rooms].sort()
    const wanted = rooms()
    const query = new URLSearchParams([['protocol', 'roomcast.v1'], ['origin', origin], ...names.map((room) => ['room', room])])
    if (names.some((room) => wanted.get(room) !== undefined)) query.set('since', names.map((room) => wanted.get(room) ?? '0:0').join())
    try {
      const response = await fetch(`${url}/v1/events?${query}`, { headers, signal: abort.signal, cache: 'no-store' })
      if (!response.ok || response.body === null) {
        const { code, retryAfterMs } = await readRefusal(response)
        end(code, retryAfterMs)
        return
      }
      for await (const { data } of readEvents(response.body, listener.onSign)) {
        if (abort.signal.aborted) return
        const frame = JSON.parse(data) as ServerFrame | { type: 'close', code: number }
        if (frame.type === 'close') {
          end(frame.code)
          return
        }
        // Another stream has it, or nobody wants it any more.
        if (frame.type === 'message' || frame.type === 'joined' || frame.type === 'system' || frame.type === 'reset') {
          if (!stream.rooms.has(frame.room)) continue
          if (frame.type === 'joined') frame.id = frame.room
        } else if (frame.type === 'error') stream.rooms.delete(frame.id as string)
        else if (frame.type === 'welcome') {
          if (isWelcome) continue
          isWelcome = true
          user = frame.user
          for (const other of streams.slice(1)) void open(other)
        }
        const { base64, ...rest } = frame as ServerFrame & { base64?: string }
        listener.onFrame(rest as ServerFrame, base64 === undefined ? undefined : decodeBase64(base64))
      }
      if (!abort.signal.aborted) end(1006)
    } catch {
      if (!abort.signal.aborted) end(1006)
    }
  }

  function openLater (stream: Stream): void {
    due.add(stream)
    timer ??= setTimeout(() => {
      timer = undefined
      for (const stream of due) void open(stream)
      due.clear()
    }, GATHER_MS)
  }

  async function post (path: string, body: string | Uint8Array, more: Record<string, string>): Promise<{ ok: boolean, body: Record<string, unknown> }> {
    try {
      const response = await fetch(`${url}/v1${path}`, { method: 'POST', headers: { ...headers, ...more }, body: body as BodyInit, signal: posting.signal })
      if (response.status === 401) end(CLOSE_CODES.unauthorized.code)
      return { ok: response.ok, body: await response.json() as Record<string, unknown> }
    } catch {
      return { ok: false, body: { code: 'publish_unknown', detail: 'There was no answer', retryable: true } }
    }
  }

  async function publish (): Promise<void> {
    if (isPosting) return
    isPosting = true
    while (queue.length > 0) {
      const batch = takeBatch(queue)
      const [first] = batch as [Waiting]
      const items = batch.map(({ frame, bytes }) => toItem(frame, bytes, origin))
      const { ok, body } = isAutomatic(first)
        ? await postAlone(first, items[0] as Record<string, unknown>)
        : await post('/messages', JSON.stringify({ messages: items }), { 'content-type': 'application/json' })
      if (ended) return
      const results = ok ? body.results as Record<string, unknown>[] | undefined : undefined
      batch.forEach(({ frame: { id } }, i) => {
        const result = results?.[i] ?? body
        const problem = (result.error ?? (ok ? undefined : result)) as Record<string, unknown> | undefined
        listener.onFrame((problem === undefined
          ? { type: 'ack', id, room: result.room, epoch: result.epoch, offset: result.offset }
          : { type: 'error', id, code: problem.code, text: problem.detail, retryable: problem.retryable, retryAfterMs: problem.retryAfterMs }) as ServerFrame)
      })
    }
    isPosting = false
  }

  /** Rooms that have routes of their own. */
  async function postAlone ({ frame, bytes }: Waiting, { room, key, base64, ...json }: Record<string, unknown>): Promise<{ ok: boolean, body: Record<string, unknown> }> {
    const path = room === '@all' ? '/broadcast' : `/users/${encodeURIComponent(user)}/messages`
    const idempotency = { 'idempotency-key': key as string }
    if (bytes === undefined) return await post(path, JSON.stringify(json), { ...idempotency, 'content-type': 'application/json' })
    const query = new URLSearchParams({ ...(frame.event !== undefined && { event: frame.event }), ...(frame.echo === false && { exclude: origin }) })
    return await post(`${path}?${query}`, bytes, { ...idempotency, 'content-type': 'application/octet-stream' })
  }

  async function readHistory ({ room, id, after, before, epoch, limit }: ClientFrames['history']): Promise<void> {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries({ after, before, epoch, limit })) if (value !== undefined) query.set(name, String(value))
    try {
      const response = await fetch(`${url}/v1/rooms/${room}/messages?${query}`, { headers, signal: posting.signal })
      const body = await response.json() as Record<string, unknown>
      const { code, detail: text, retryable, retryAfterMs } = body
      if (!ended) listener.onFrame((response.ok ? { type: 'history', id, ...body } : { type: 'error', id, code, text, retryable, retryAfterMs }) as ServerFrame)
    } catch {
      end(1006)
    }
  }

  for (const room of rooms().keys()) freeStream().rooms.add(room)
  if (streams.length === 0) freeStream()
  void open(streams[0] as Stream) // The others when it is welcome: frames before that would be nobody's.

  return {
    close,
    send (frame: ClientFrame, bytes?: Uint8Array) {
      if (frame.type === 'join' && streamOf(frame.room) === undefined) {
        const stream = freeStream()
        stream.rooms.add(frame.room)
        openLater(stream)
      } else if (frame.type === 'leave') {
        const stream = streamOf(frame.room)
        if (stream?.rooms.delete(frame.room) === true) openLater(stream)
        listener.onFrame({ type: 'left', room: frame.room, ...(frame.id !== undefined && { id: frame.id }) })
      } else if (frame.type === 'publish') {
        queue.push({ frame, bytes })
        void publish()
      } else if (frame.type === 'history') void readHistory(frame)
    }
  }
}

function takeBatch (queue: Waiting[]): Waiting[] {
  let count = 0
  let bytes = 0
  for (const waiting of queue) {
    bytes += waiting.bytes?.length ?? JSON.stringify(waiting.frame.data).length
    if (count > 0 && (count === BATCH_ITEMS || bytes > BATCH_BYTES || isAutomatic(waiting) || isAutomatic(queue[0] as Waiting))) break
    count++
  }
  return queue.splice(0, count)
}

function isAutomatic ({ frame }: Waiting): boolean {
  return frame.room?.startsWith('@') === true
}

/** A publish as it stands in a REST request. */
function toItem ({ room, data, event, key, echo }: ClientFrames['publish'], bytes: Uint8Array | undefined, origin: string): Record<string, unknown> {
  return { room, ...(bytes === undefined ? { data } : { base64: encodeBase64(bytes) }), event, key, ...(echo === false && { exclude: origin }) }
}

/** What a refusal would be on a WebSocket. */
async function readRefusal (response: Response): Promise<LinkEnd> {
  const { retryAfterMs } = await response.json().catch(() => ({})) as { retryAfterMs?: number }
  const { unauthorized, overloaded } = CLOSE_CODES
  const code = response.status === 401 ? unauthorized.code : response.status === 429 || response.status === 503 ? overloaded.code : 1006
  return { code, retryAfterMs }
}
