import type { RoomcastError } from '../errors.ts'
import type { TokenProvider } from '../token-source.ts'
import { type BatchItem, publishBatch } from './batch.ts'
import { type Content, encodeContent, invalid } from './content.ts'
import { Endpoint } from './endpoint.ts'
import { toKey, toUnknown } from './key.ts'
import { notRoomcast } from './post.ts'
import type { Published } from './published.ts'
import { Failure, type Patience, retry } from './retry.ts'

/** What a publisher is made of. */
export interface PublisherOptions {
  /** Where the service is, such as `https://realtime.example.com`; with a path, where a proxy has it under one. */
  url: string
  /**
   * A token, or a function that gets one. What a function gives is kept until shortly before its `exp`; it is asked again
   * then, and once when the service refuses the token. It is not called a second time before it has answered.
   */
  token: TokenProvider
  /** For one attempt, ms; 5,000 if not given. */
  timeoutMs?: number
  /** For all attempts of a request, ms; 30,000 if not given. More than 240,000 is 240,000: the service remembers keys for five minutes. */
  giveUpMs?: number
}

/** How something is published. */
export interface PublishOptions {
  /** Makes repeating this call safe for five minutes; without it, only the retries within the call are. */
  key?: string
  /** The `origin` whose connections do not get it. */
  exclude?: string
  /** Ends it: the call rejects with the reason of the signal. The message may be in the room or not. */
  signal?: AbortSignal
}

/**
 * Publishes from a backend, over REST. All methods try again by themselves, with the same key, so that it is one message.
 * They reject with a `RoomcastError`: its `code` is one of the service's (docs/errors.md), `http_…` with the status that a
 * proxy has answered with, or `unknown` when the message may be in the room or not.
 *
 * @typeParam Rooms the rooms, and what the `data` of their messages is
 */
export class Publisher<Rooms extends object = Record<string, unknown>> {
  readonly #endpoint: Endpoint
  readonly #patience: Omit<Patience, 'signal'>

  /** Throws `invalid_request` for options that cannot be used. */
  constructor ({ url, token, timeoutMs = 5_000, giveUpMs = 30_000 }: PublisherOptions) {
    for (const [name, ms] of Object.entries({ timeoutMs, giveUpMs })) {
      if (typeof ms !== 'number' || !(ms > 0)) throw invalid(`"${name}" is a number above 0`)
    }
    this.#endpoint = new Endpoint(url, token)
    this.#patience = { timeoutMs, giveUpMs }
  }

  /** Publishes to a room. (Not to those called `.` and `..`, which cannot stand in a URL; `batch` reaches them.) */
  async publish<Room extends keyof Rooms & string> (room: Room, content: Content<Rooms[Room]>, options?: PublishOptions): Promise<Published> {
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
   * Publishes any number of messages to any rooms, in requests of at most 100, one after the other. A result for each
   * item, in their order: what was published, or the error. It rejects only if `signal` aborts, or if `items` is no array.
   *
   * Messages to the same room are put into it in the order of the items. There is one exception: where one fails and is
   * tried again, later ones of the same request may already be in the room, and then it comes behind them. Once a message
   * is given up, the later requests have no more messages to its room: those fail with `unavailable`, and were not sent.
   */
  async batch (items: readonly BatchItem<Rooms>[], { signal }: Pick<PublishOptions, 'signal'> = {}): Promise<(Published | RoomcastError)[]> {
    return await publishBatch(items as unknown as readonly BatchItem[], () => this.#endpoint.begin(), { ...this.#patience, signal })
  }

  async #publish (path: string, content: Content, { key, exclude, signal }: PublishOptions = {}): Promise<Published> {
    const { fields, bytes, event } = encodeContent(content)
    if (exclude !== undefined && typeof exclude !== 'string') throw invalid('"exclude" is a string')
    const excluded = exclude === undefined ? '' : `,"exclude":${JSON.stringify(exclude)}`
    const request = {
      path: bytes === undefined ? path : path + toQuery({ event, exclude }),
      headers: { 'content-type': bytes === undefined ? 'application/json' : 'application/octet-stream', 'idempotency-key': toKey(key) },
      body: bytes ?? `{${fields}${excluded}}`
    }
    const attempt = this.#endpoint.begin()
    let mayBeDone = false
    const result = await retry(async (signal) => {
      const answer = await attempt(request, signal)
      const result = answer instanceof Failure || isPublished(answer.body) ? answer : notRoomcast()
      if (result instanceof Failure && result.mayBeDone) mayBeDone = true
      return result
    }, { ...this.#patience, signal })
    if (result instanceof Failure) throw mayBeDone ? toUnknown(result.error, key !== undefined) : result.error
    return { ...result.body as Published, replayed: result.replayed }
  }
}

/**
 * A publisher for a service. It holds nothing that has to be closed; one is enough for a process.
 *
 * ```ts
 * const publisher = createPublisher({ url: 'https://realtime.example.com', token: () => signToken() })
 * await publisher.publish('orders:7', { event: 'order.shipped', data: { id: 7 } })
 * ```
 *
 * @typeParam Rooms the rooms, and what the `data` of their messages is: ``{ lobby: Note, [orders: `orders:${string}`]: Order }``
 */
export function createPublisher<Rooms extends object = Record<string, unknown>> (options: PublisherOptions): Publisher<Rooms> {
  return new Publisher<Rooms>(options)
}

/** A name in a path; throws `invalid_request` for one that cannot stand there. */
function toSegment (what: string, name: string): string {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) throw invalid(`"${what}" is a text that is not empty`)
  // URLs are normalised before they are sent, also where the dots are percent-encoded.
  if (name === '.' || name === '..') throw invalid(`A ${what} called ${name} cannot stand in a URL`)
  return encodeURIComponent(name)
}

function isPublished (body: unknown): boolean {
  return typeof (body as Partial<Published>).time === 'number'
}

function toQuery (parameters: Record<string, string | undefined>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return given.length === 0 ? '' : `?${String(new URLSearchParams(given))}`
}
