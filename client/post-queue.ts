import type { ServerFrame } from '../src/protocol/frames.ts'
import { encodeBase64 } from './base64.ts'
import type { PublishFrame } from './link.ts'
import type { Position } from './position.ts'
import { type Problem, type Reply, type Rest, toErrorFrame } from './rest.ts'

/** The maximum of publishes in one request, as the service sets it. */
const BATCH_ITEMS = 100
/** The maximum of bytes in one request. It stays well below the service's default. */
const BATCH_BYTES = 400_000

/** A publish that waits for its request. */
interface Waiting {
  frame: PublishFrame
  bytes: Uint8Array<ArrayBuffer> | undefined
}

/** The result of one publish. */
interface Result extends Partial<Position> {
  error?: Problem
}

/** The result of a request: of its one publish, or of each. */
interface Results extends Result {
  results?: Result[]
}

/** The publishes of an event-stream link: one request at a time, so that messages keep their order. */
export class PostQueue {
  /** The user of the link, from its welcome. */
  user = ''
  readonly #rest: Rest
  readonly #origin: string
  readonly #onFrame: (frame: ServerFrame) => void
  readonly #queue: Waiting[] = []
  #isPosting = false
  #maxItems = BATCH_ITEMS

  constructor (rest: Rest, origin: string, onFrame: (frame: ServerFrame) => void) {
    this.#rest = rest
    this.#origin = origin
    this.#onFrame = onFrame
  }

  /** Queues a publish; its answer arrives as a frame. */
  add (frame: PublishFrame, bytes: Uint8Array<ArrayBuffer> | undefined): void {
    this.#queue.push({ frame, bytes })
    if (!this.#isPosting) void this.#run()
  }

  async #run (): Promise<void> {
    this.#isPosting = true
    for (let first; (first = this.#queue[0]) !== undefined;) {
      const batch = this.#takeBatch()
      const reply = isAutomatic(first) ? await this.#postAlone(first) : await this.#postBatch(batch)
      if (reply === undefined) return
      if (reply.status === 413 && batch.length > 1) {
        this.#maxItems = batch.length >> 1
        this.#queue.unshift(...batch)
      } else this.#settle(batch, reply)
    }
    this.#isPosting = false
  }

  #takeBatch (): Waiting[] {
    let count = 0
    let bytes = 0
    let isAlone = false
    for (const waiting of this.#queue) {
      bytes += waiting.bytes?.length ?? JSON.stringify(waiting.frame.data).length
      const isNext = !isAlone && !isAutomatic(waiting) && count < this.#maxItems && bytes <= BATCH_BYTES
      if (count > 0 && !isNext) break
      isAlone = isAutomatic(waiting)
      count++
    }
    return this.#queue.splice(0, count)
  }

  async #postBatch (batch: Waiting[]): Promise<Reply<Results> | undefined> {
    const messages = batch.map(({ frame: { room, data, event, key, echo }, bytes }) => (
      { room, ...(bytes === undefined ? { data } : { base64: encodeBase64(bytes) }), event, key, ...this.#toExclude(echo) }
    ))
    return await this.#rest.send('/messages', { 'content-type': 'application/json' }, JSON.stringify({ messages }))
  }

  /** Publishes to an automatic room, through its special route. */
  async #postAlone ({ frame: { room, data, event, key, echo }, bytes }: Waiting): Promise<Reply<Results> | undefined> {
    const path = room === '@all' ? '/broadcast' : `/users/${encodeURIComponent(this.user)}/messages`
    const headers = (type: string): Record<string, string> => ({ 'idempotency-key': key, 'content-type': `application/${type}` })
    const exclude = this.#toExclude(echo)
    if (bytes === undefined) return await this.#rest.send(path, headers('json'), JSON.stringify({ data, event, ...exclude }))
    const query = new URLSearchParams({ ...(event !== undefined && { event }), ...exclude })
    return await this.#rest.send(`${path}?${query}`, headers('octet-stream'), bytes)
  }

  #toExclude (echo: boolean | undefined): { exclude?: string } {
    return echo === false ? { exclude: this.#origin } : {}
  }

  #settle (batch: Waiting[], reply: Reply<Results>): void {
    let failed: Problem | undefined
    for (const [i, { frame: { id, room } }] of batch.entries()) {
      const { error, epoch, offset }: Result = reply.ok ? reply.body.results?.[i] ?? reply.body : { error: reply.problem }
      if (error?.retryable === true) failed ??= error
      this.#onFrame(error === undefined ? { type: 'ack', id, room, epoch, offset } : toErrorFrame(id, error))
    }
    // A later publish must not overtake one that will be retried.
    if (failed !== undefined) for (const { frame: { id } } of this.#queue.splice(0)) this.#onFrame(toErrorFrame(id, failed))
  }
}

function isAutomatic ({ frame }: Waiting): boolean {
  return frame.room.startsWith('@')
}
