import type { RoomcastError } from '../errors.ts'
import { invalid } from '../payload.ts'
import type { TokenProvider } from '../token-source.ts'
import { type BatchItem, publishBatch } from './batch.ts'
import { type Content, encodeContent } from './content.ts'
import { Endpoint } from './endpoint.ts'
import { toKey, toUnknown } from './key.ts'
import { type Answer, notRoomcast } from './post.ts'
import { isPublished, type Published } from './published.ts'
import { Failure, type Patience, retry } from './retry.ts'

/** The options of a publisher. */
export interface PublisherOptions {
  /** The URL of the service, such as `https://realtime.example.com`, with the path prefix of a proxy. */
  url: string
  /**
   * A token, or a function that gets one. The publisher keeps a token until shortly before its `exp`, and calls the function
   * again then, and once when the service refuses the token. It never calls the function again before it has answered.
   */
  token: TokenProvider
  /** The time for one attempt, ms; 5,000 by default. */
  timeoutMs?: number
  /** The time for all attempts of a request, ms; 30,000 by default. The maximum is 240,000: the service remembers keys for five minutes. */
  giveUpMs?: number
}

/** The options of a publish over REST. */
export interface PublishOptions {
  /** Makes a retry of this call safe for five minutes. Without a key, only the retries within the call are safe. */
  key?: string
  /** The `origin` whose connections do not receive the message. */
  exclude?: string
  /** Ends the call, which rejects with the reason of the signal. The message may be in the room. */
  signal?: AbortSignal
}

/**
 * Publishes from a backend over REST. All methods retry with the same key, and the service removes the duplicates. They reject
 * with a `RoomcastError`. Its `code` is one of the service's (docs/errors.md), or `http_…` with the status of a proxy, or
 * `unknown` when the message may be in the room.
 *
 * @typeParam Rooms the rooms, with the types of the `data` in their messages
 */
export class Publisher<Rooms extends object = Record<string, unknown>> {
  readonly #endpoint: Endpoint
  readonly #patience: Omit<Patience, 'signal'>

  /** Throws `invalid_request` for invalid options. */
  constructor ({ url, token, timeoutMs = 5_000, giveUpMs = 30_000 }: PublisherOptions) {
    for (const [name, ms] of Object.entries({ timeoutMs, giveUpMs })) {
      if (typeof ms !== 'number' || !(ms > 0)) throw invalid(`"${name}" is a number above 0`)
    }
    this.#endpoint = new Endpoint(url, token)
    this.#patience = { timeoutMs, giveUpMs }
  }

  /** Publishes to a room. Use `batch` for the rooms `.` and `..`, which a URL cannot contain. */
  async publish<Room extends keyof Rooms & string> (
    room: Room,
    content: Content<Rooms[Room]>,
    options?: PublishOptions
  ): Promise<Published> {
    return await this.#publish(`/v1/rooms/${toSegment('room', room)}/messages`, content, options)
  }

  /** Publishes to every connection, in the room `@all`. */
  async broadcast (content: Content, options?: PublishOptions): Promise<Published> {
    return await this.#publish('/v1/broadcast', content, options)
  }

  /** Publishes to all connections of a user (the `sub` of their tokens), in the room `@user`. */
  async toUser (user: string, content: Content, options?: PublishOptions): Promise<Published> {
    return await this.#publish(`/v1/users/${toSegment('user', user)}/messages`, content, options)
  }

  /**
   * Publishes any number of messages to any rooms, in requests of at most 100, one after the other. Resolves with a published
   * message or an error for each item, in their order. Rejects only if `signal` aborts, or if `items` is not an array.
   *
   * Messages to the same room keep the order of the items, with one exception: a retried message may follow later messages of
   * the same request. After a failed message, later requests skip its room: those messages fail with `unavailable`.
   */
  async batch (
    items: readonly BatchItem<Rooms>[],
    { signal }: Pick<PublishOptions, 'signal'> = {}
  ): Promise<(Published | RoomcastError)[]> {
    return await publishBatch(items, () => this.#endpoint.begin(), { ...this.#patience, signal })
  }

  async #publish (path: string, content: Content, { key, exclude, signal }: PublishOptions = {}): Promise<Published> {
    const { fields, bytes, event } = encodeContent(content)
    if (exclude !== undefined && typeof exclude !== 'string') throw invalid('"exclude" is a string')
    const excluded = exclude === undefined ? '' : `,"exclude":${JSON.stringify(exclude)}`
    const request = {
      path: bytes === undefined ? path : path + toQuery({ event, exclude }),
      headers: {
        'content-type': bytes === undefined ? 'application/json' : 'application/octet-stream',
        'idempotency-key': toKey(key)
      },
      body: bytes ?? `{${fields}${excluded}}`
    }
    const attempt = this.#endpoint.begin()
    let mayBeDone = false
    const result = await retry(async (signal) => {
      const answer = await attempt(request, signal)
      const result = answer instanceof Failure ? answer : toPublished(answer)
      if (result instanceof Failure && result.mayBeDone) mayBeDone = true
      return result
    }, { ...this.#patience, signal })
    if (result instanceof Failure) throw mayBeDone ? toUnknown(result.error, key !== undefined) : result.error
    return result
  }
}

/**
 * Creates a publisher for a service. One is enough for a process, and it needs no close.
 *
 * ```ts
 * const publisher = createPublisher({ url: 'https://realtime.example.com', token: () => signToken() })
 * await publisher.publish('orders:7', { event: 'order.shipped', data: { id: 7 } })
 * ```
 *
 * @typeParam Rooms the rooms, with the types of the `data` in their messages:
 *   ``{ lobby: Note, [orders: `orders:${string}`]: Order }``
 */
export function createPublisher<Rooms extends object = Record<string, unknown>> (options: PublisherOptions): Publisher<Rooms> {
  return new Publisher<Rooms>(options)
}

/** Encodes a name for a path. Throws `invalid_request` for a name that a path cannot contain. */
function toSegment (what: string, name: string): string {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) throw invalid(`"${what}" is a text that is not empty`)
  // Clients normalise URLs, even with percent-encoded dots.
  if (name === '.' || name === '..') throw invalid(`A ${what} called ${name} cannot stand in a URL`)
  return encodeURIComponent(name)
}

function toPublished ({ body, replayed }: Answer): Published | Failure {
  return isPublished(body) ? { ...body, replayed } : notRoomcast()
}

function toQuery (parameters: Record<string, string | undefined>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return given.length === 0 ? '' : `?${String(new URLSearchParams(given))}`
}
