import { encodeBase64 } from '../base64.ts'
import { RoomcastError } from '../errors.ts'
import { type Content, encodeContent, invalid } from './content.ts'
import type { Attempt } from './endpoint.ts'
import { toKey, toUnknown } from './key.ts'
import { type Answer, leavesOpen, notRoomcast, toError } from './post.ts'
import type { Published } from './published.ts'
import { Failure, type Patience, retry } from './retry.ts'

/** A message of a batch: its room, its content, and what `PublishOptions` has. */
export type BatchItem<Rooms extends object = Record<string, unknown>> = {
  [Room in keyof Rooms & string]: { room: Room, key?: string, exclude?: string } & Content<Rooms[Room]>
}[keyof Rooms & string]

/** What the service takes in one request, less some room: messages, and bytes (16 times the default of MAX_MESSAGE_BYTES). */
const MAX_ITEMS = 100
const MAX_BYTES = 15 * 65_536

/** An item on its way. */
class Sending {
  readonly room: string
  readonly json: string
  readonly bytes: number
  /** An attempt may have put it into the room. */
  mayBeDone = false
  /** What the last attempt failed with. */
  error: RoomcastError | undefined
  #published: Published | undefined
  readonly #hasOwnKey: boolean

  /** Throws `invalid_request` for what is no item. */
  constructor (item: BatchItem) {
    const { fields, bytes } = encodeContent(item)
    const { room, key, exclude } = item
    if (typeof room !== 'string') throw invalid('"room" is a string')
    if (exclude !== undefined && typeof exclude !== 'string') throw invalid('"exclude" is a string')
    const rest = JSON.stringify({ room, key: toKey(key), exclude }).slice(1)
    const content = bytes === undefined ? fields : `"base64":"${encodeBase64(bytes)}"${fields === '' ? '' : `,${fields}`}`
    this.room = room
    this.json = `{${content},${rest}`
    this.bytes = new TextEncoder().encode(this.json).length
    this.#hasOwnKey = key !== undefined
  }

  /** What became of it; it has been sent, or given an error. */
  get result (): Published | RoomcastError {
    if (this.#published !== undefined) return this.#published
    const error = this.error as RoomcastError
    return this.mayBeDone ? toUnknown(error, this.#hasOwnKey) : error
  }

  /** Takes what the service answered for it. */
  take (result: object): void {
    if ('error' in result) {
      this.error = toError(result.error as object)
      if (leavesOpen(this.error)) this.mayBeDone = true
      return
    }
    this.error = undefined
    this.#published = { ...result as Published, replayed: (result as Partial<Published>).replayed === true }
  }
}

/** What is not sent any more, as it would overtake a message that was given up, or wait in vain. */
interface Stopped {
  rooms: Set<string>
  all: boolean
}

/**
 * Publishes items, in as many requests as it takes, one after the other: the next one goes out when everything in the
 * one before it has succeeded or failed for good. A result for each item, in their order.
 */
export async function publishBatch (items: readonly BatchItem[], begin: () => Attempt, patience: Patience): Promise<(Published | RoomcastError)[]> {
  if (!Array.isArray(items)) throw invalid('A batch is an array')
  const all = (items as readonly BatchItem[]).map((item) => {
    try {
      return new Sending(item)
    } catch (error) {
      return error as RoomcastError
    }
  })
  const stopped: Stopped = { rooms: new Set(), all: false }
  for (const group of toGroups(all.filter((item) => item instanceof Sending))) await send(group, begin, patience, stopped)
  return all.map((item) => item instanceof Sending ? item.result : item)
}

/** Items that fit into a request each. */
function toGroups (items: Sending[]): Sending[][] {
  const groups: Sending[][] = []
  let group: Sending[] = []
  let bytes = 0
  for (const item of items) {
    if (group.length === 0 || group.length === MAX_ITEMS || bytes + item.bytes > MAX_BYTES) {
      group = []
      groups.push(group)
      bytes = 0
    }
    group.push(item)
    bytes += item.bytes + 1 // The comma.
  }
  return groups
}

/** Sends items in one request, and those that fail but may succeed later again. */
async function send (group: Sending[], begin: () => Attempt, patience: Patience, stopped: Stopped): Promise<void> {
  const isStopped = ({ room }: Sending): boolean => stopped.all || stopped.rooms.has(room)
  for (const item of group.filter(isStopped)) item.error = new RoomcastError('unavailable', 'It was not sent: a message before it was given up', { retryable: true })
  let open = group.filter((item) => !isStopped(item))
  if (open.length === 0) return
  const attempt = begin()
  const failure = await retry(async (signal) => {
    const answer = await attempt({ path: '/v1/messages', headers: { 'content-type': 'application/json' }, body: `{"messages":[${open.map(({ json }) => json).join(',')}]}` }, signal)
    const results = answer instanceof Failure ? answer : readResults(answer, open.length)
    if (results instanceof Failure) {
      for (const item of open) {
        item.error = results.error
        item.mayBeDone ||= results.mayBeDone
      }
      return results
    }
    for (const [i, item] of open.entries()) item.take(results[i] as object)
    open = open.filter(({ error }) => error?.retryable === true)
    return toFailure(open)
  }, patience)
  if (failure === undefined) return

  if (isTooLarge(failure) && open.length > 1) {
    // The service has another limit than the default, or a proxy has one.
    const middle = Math.ceil(open.length / 2)
    await send(open.slice(0, middle), begin, patience, stopped)
    await send(open.slice(middle), begin, patience, stopped)
  } else if (failure.isWorthRetrying) {
    for (const { room } of open) stopped.rooms.add(room)
    if (!(failure instanceof ItemFailure)) stopped.all = true
  }
}

/** The service answered, and could not publish some of the items for now. */
class ItemFailure extends Failure {}

function readResults ({ body }: Answer, count: number): object[] | Failure {
  const { results } = body as { results?: unknown }
  const areResults = Array.isArray(results) && results.length === count && results.every((result) => typeof result === 'object' && result !== null)
  return areResults ? results as object[] : notRoomcast()
}

/** Why items that are still open are to be sent again; nothing if there are none. */
function toFailure (open: Sending[]): ItemFailure | undefined {
  const error = open[0]?.error
  if (error === undefined) return undefined
  const retryAfterMs = Math.max(...open.map((item) => item.error?.retryAfterMs ?? 0))
  return new ItemFailure(new RoomcastError(error.code, error.message, { retryable: true, retryAfterMs }), { isWorthRetrying: true })
}

function isTooLarge ({ error: { code } }: Failure): boolean {
  return code === 'message_too_large' || code === 'http_413'
}
