import type { DataOf } from '../client.ts'
import { RoomcastError } from '../errors.ts'
import { type TokenProvider, TokenSource } from '../token-source.ts'
import { type Content, type Item, toItem } from './content.ts'
import { type Answer, Requests } from './requests.ts'

const TIMEOUT_MS = 5_000
const GIVE_UP_MS = 30_000
/** The service remembers keys for five minutes: longer than this, ms, a retry is not safe. */
const MAX_GIVE_UP_MS = 4 * 60_000
/** Of one request: what the service takes, with its standard limits. */
const BATCH_ITEMS = 100
const BATCH_BYTES = 15 * 64 * 1024

export interface PublisherOptions {
  /** Where the service is: `https://example.com`, with its prefix if it has one. */
  url: string
  /** A token, or a function that makes one; it is asked again when a token was refused or is about to end. */
  token: TokenProvider
  /** How long one attempt may take, ms; 5 s unless told otherwise. */
  timeoutMs?: number
  /** How long it is tried in all, ms; 30 s unless told otherwise, and 4 minutes at the most. */
  giveUpMs?: number
  /** Instead of the global one. */
  fetch?: typeof fetch
}

export interface PublishOptions {
  /** The same key again is not another message; one is made up if not given. */
  key?: string
  /** The origin of a client that does not get it. */
  exclude?: string
  signal?: AbortSignal
}

/** One of several messages. */
export type BatchItem<Data = unknown> = Content<Data> & { room: string, key?: string, exclude?: string }

/** A message is in its room. */
export interface Published {
  readonly room: string
  /** Where it is there; absent, as is `offset`, in rooms without history. */
  readonly epoch?: string
  readonly offset?: number
  /** ms since 1970, by the service's clock. */
  readonly time: number
  /** Connections in the room at that moment. */
  readonly audience: number
  /** It was there already, by an earlier attempt with the same key. */
  readonly replayed: boolean
}

/**
 * Publishes from a backend. Each message has a key, so that it is one message however often it had to be sent. What fails is
 * tried again; in the end it rejects with a `RoomcastError`: `unknown`, where it may be in the room all the same.
 */
export class Publisher<Rooms extends object = Record<string, unknown>> {
  readonly #requests: Requests
  readonly #giveUpMs: number

  /** @internal `createPublisher` makes publishers. */
  constructor ({ url, token, timeoutMs = TIMEOUT_MS, giveUpMs = GIVE_UP_MS, fetch = globalThis.fetch }: PublisherOptions) {
    this.#requests = new Requests({ url: url.replace(/\/+$/, ''), token: new TokenSource(token), timeoutMs, fetch })
    this.#giveUpMs = Math.min(giveUpMs, MAX_GIVE_UP_MS)
  }

  /** To a room. */
  async publish<Name extends string> (room: Name, content: Content<DataOf<Rooms, Name>>, options: PublishOptions = {}): Promise<Published> {
    return await this.#post(`/rooms/${encodeURIComponent(room)}/messages`, content, options)
  }

  /** To everybody. */
  async broadcast (content: Content, options: PublishOptions = {}): Promise<Published> {
    return await this.#post('/broadcast', content, options)
  }

  /** To all connections of a user. */
  async toUser (user: string, content: Content, options: PublishOptions = {}): Promise<Published> {
    return await this.#post(`/users/${encodeURIComponent(user)}/messages`, content, options)
  }

  /**
   * Several messages, any number, to any rooms: what became of each, in their order. Messages to a room keep their order, but for
   * one that has to be tried again: those behind it may be in the room before it. Rejects only where it was aborted.
   */
  async batch (items: BatchItem[], { signal }: { signal?: AbortSignal } = {}): Promise<(Published | RoomcastError)[]> {
    const results: (Published | RoomcastError)[] = []
    const waiting: { index: number, json: Item }[] = []
    items.forEach((item, index) => {
      try {
        const { room, key = crypto.randomUUID(), exclude } = item
        waiting.push({ index, json: { room, ...toItem(item), key, ...(exclude !== undefined && { exclude }) } as Item })
      } catch (error) {
        results[index] = error as RoomcastError
      }
    })
    for (const batch of split(waiting)) await this.#postBatch(batch, results, signal)
    return results
  }

  async #post (path: string, content: Content, { key = crypto.randomUUID(), exclude, signal }: PublishOptions): Promise<Published> {
    const { base64, ...json } = toItem(content)
    const isBytes = base64 !== undefined
    const query = new URLSearchParams({ ...(isBytes && json.event !== undefined && { event: json.event }), ...(isBytes && exclude !== undefined && { exclude }) })
    const { headers, body } = await this.#requests.make({
      path: query.size > 0 ? `${path}?${query}` : path,
      headers: { 'content-type': isBytes ? 'application/octet-stream' : 'application/json', 'idempotency-key': key },
      body: isBytes ? (content as { bytes: Uint8Array }).bytes : JSON.stringify({ ...json, ...(exclude !== undefined && { exclude }) }),
      signal
    }, Date.now() + this.#giveUpMs)
    return { ...body as unknown as Published, replayed: headers.get('idempotent-replayed') === 'true' }
  }

  /** Posts a batch, and what of it may succeed later again. */
  async #postBatch (batch: { index: number, json: Item }[], results: (Published | RoomcastError)[], signal: AbortSignal | undefined): Promise<void> {
    const giveUpAt = Date.now() + this.#giveUpMs
    let waiting = batch
    for (let wait = 100; waiting.length > 0; wait = Math.min(wait * 2, 5_000)) {
      const body = JSON.stringify({ messages: waiting.map(({ json }) => json) })
      let answer: Answer
      try {
        answer = await this.#requests.make({ path: '/messages', headers: { 'content-type': 'application/json' }, body, signal }, giveUpAt)
      } catch (error) {
        signal?.throwIfAborted()
        for (const { index } of waiting) results[index] ??= error as RoomcastError
        return
      }
      const again: typeof waiting = []
      const outcomes = answer.body.results as (Omit<Published, 'replayed'> & { replayed?: boolean, error?: { code: string, detail: string, retryable: boolean, retryAfterMs?: number } })[]
      waiting.forEach((item, i) => {
        const { error, ...published } = outcomes[i] as (typeof outcomes)[number]
        if (error === undefined) {
          results[item.index] = { ...published, replayed: published.replayed === true }
          return
        }
        const { code, detail, retryable, retryAfterMs } = error
        results[item.index] = new RoomcastError(code === 'publish_unknown' ? 'unknown' : code, detail, { retryable, retryAfterMs })
        if (retryable) again.push(item)
      })
      if (Date.now() + wait > giveUpAt) return
      waiting = again
      for (const { index } of waiting) delete results[index]
      if (waiting.length > 0) await new Promise((resolve) => { setTimeout(resolve, Math.random() * wait) })
    }
  }
}

/** Parts that the service takes, in order. */
function * split<T extends { json: Item }> (items: T[]): Generator<T[]> {
  let part: T[] = []
  let bytes = 0
  for (const item of items) {
    const size = new TextEncoder().encode(JSON.stringify(item.json)).length
    if (part.length > 0 && (part.length === BATCH_ITEMS || bytes + size > BATCH_BYTES)) {
      yield part
      part = []
      bytes = 0
    }
    part.push(item)
    bytes += size
  }
  if (part.length > 0) yield part
}
