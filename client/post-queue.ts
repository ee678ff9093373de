import type { ServerFrame, ServerFrames } from '../src/protocol/frames.ts'
import { encodeBase64 } from './base64.ts'
import { isAutomatic, type PublishFrame } from './link.ts'
import { toObject } from './json.ts'
import { checkFrame } from './parse-frame.ts'
import { invalidProblem, isProblem, type Reply, type Rest, toErrorFrame } from './rest.ts'

/** The maximum of publishes in one request, as the service sets it. */
const BATCH_ITEMS = 100
/** The maximum of bytes in one request. It stays well below the service's default. */
const BATCH_BYTES = 400_000

/** A publish that waits for its request. */
interface Waiting {
  frame: PublishFrame
  bytes: Uint8Array<ArrayBuffer> | undefined
}

/** The publishes of an event-stream link: one request at a time, so that messages keep their order. */
export class PostQueue {
  /** The user of the link, from its welcome. */
  user = ''
  readonly #rest: Rest
  readonly #origin: string
  readonly #onFrame: (frame: ServerFrame) => void
  readonly #isCurrent: (id: number) => boolean
  readonly #onFault: (error: unknown) => void
  readonly #queue: Waiting[] = []
  #isPosting = false
  #maxItems = BATCH_ITEMS

  /**
   * @param isCurrent whether a publish may still be sent
   * @param onFault told of a reply that is not one of the service: the link must end
   */
  constructor (
    rest: Rest,
    origin: string,
    isCurrent: (id: number) => boolean,
    onFrame: (frame: ServerFrame) => void,
    onFault: (error: unknown) => void
  ) {
    this.#isCurrent = isCurrent
    this.#rest = rest
    this.#origin = origin
    this.#onFrame = onFrame
    this.#onFault = onFault
  }

  /** Queues a publish; its answer arrives as a frame. */
  add (frame: PublishFrame, bytes: Uint8Array<ArrayBuffer> | undefined): void {
    this.#queue.push({ frame, bytes })
    if (!this.#isPosting) this.#run().catch(this.#onFault)
  }

  async #run (): Promise<void> {
    this.#isPosting = true
    for (;;) {
      this.#dropOld()
      const [first] = this.#queue
      if (first === undefined) break
      const batch = this.#takeBatch()
      const reply = isAutomatic(first.frame.room) ? await this.#postAlone(first) : await this.#postBatch(batch)
      if (reply === undefined) return
      if (reply.status === 413 && batch.length > 1) {
        this.#maxItems = batch.length >> 1
        this.#queue.unshift(...batch)
      } else this.#settle(batch, reply)
    }
    this.#isPosting = false
  }

  /** Drops the publishes that were given up while they waited: the service may have forgotten their keys. */
  #dropOld (): void {
    const current = this.#queue.filter(({ frame }) => this.#isCurrent(frame.id))
    this.#queue.splice(0, Infinity, ...current)
  }

  #takeBatch (): Waiting[] {
    let count = 0
    let bytes = 0
    let isAlone = false
    for (const waiting of this.#queue) {
      bytes += waiting.bytes?.length ?? JSON.stringify(waiting.frame.data).length
      const isNext = !isAlone && !isAutomatic(waiting.frame.room) && count < this.#maxItems && bytes <= BATCH_BYTES
      if (count > 0 && !isNext) break
      isAlone = isAutomatic(waiting.frame.room)
      count++
    }
    return this.#queue.splice(0, count)
  }

  async #postBatch (batch: Waiting[]): Promise<Reply | undefined> {
    const messages = batch.map(({ frame: { room, data, event, key, echo }, bytes }) => (
      { room, ...(bytes === undefined ? { data } : { base64: encodeBase64(bytes) }), event, key, ...this.#toExclude(echo) }
    ))
    return await this.#rest.send('/messages', { 'content-type': 'application/json' }, JSON.stringify({ messages }))
  }

  /** Publishes to an automatic room, through its special route. */
  async #postAlone ({ frame: { room, data, event, key, echo }, bytes }: Waiting): Promise<Reply | undefined> {
    if (!/^[ -~]*$/.test(key)) {
      const problem = invalidProblem('invalid_request', `Over HTTP, a key for ${room} has ASCII characters only`)
      return { ok: false, status: 400, problem }
    }
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

  /** Answers the publishes of a request. Throws an error for a reply that is not one of the service. */
  #settle (batch: Waiting[], reply: Reply): void {
    const results: unknown[] = reply.ok && Array.isArray(reply.body.results) ? reply.body.results : [reply.ok ? reply.body : {}]
    if (reply.ok && results.length !== batch.length) throw foreign()
    const answers: ServerFrame[] = batch.map(({ frame }, i) => (
      reply.ok ? toAnswer(frame, results[i]) : toErrorFrame(frame.id, reply.problem)
    ))
    for (const answer of answers) this.#onFrame(answer)
    // A later publish must not overtake one that will be retried.
    const failed = answers.find(isForNow)
    if (failed === undefined) return
    const rooms = new Set(batch.filter((_, i) => isForNow(answers[i])).map(({ frame }) => frame.room))
    for (const waiting of this.#queue.splice(0)) {
      const { id, room } = waiting.frame
      if (failed.code === 'rate_limited' || rooms.has(room)) this.#onFrame({ ...failed, id })
      else this.#queue.push(waiting)
    }
  }
}

/** Whether an answer is a refusal for now. */
function isForNow (answer: ServerFrame | undefined): answer is ServerFrames['error'] {
  return answer?.type === 'error' && answer.retryable
}

/** The answer to a publish, from its result in a reply. */
function toAnswer ({ id, room }: PublishFrame, result: unknown): ServerFrame {
  const { error, time, audience, epoch, offset } = toObject(result)
  if (error !== undefined) {
    if (!isProblem(error)) throw foreign()
    return toErrorFrame(id, error)
  }
  if (typeof time !== 'number' || typeof audience !== 'number') throw foreign()
  return checkFrame({ type: 'ack', id, room, epoch, offset }) as ServerFrame
}

function foreign (): Error {
  return new Error('A request was not answered by the service; look at the url')
}
