import { encodeBase64 } from '../base64.ts'
import { RoomcastError } from '../errors.ts'
import { isObject, type JsonObject, toObject } from '../json.ts'
import { invalid } from '../payload.ts'
import { type Content, encodeContent } from './content.ts'
import type { Attempt } from './endpoint.ts'
import { toKey, toUnknown } from './key.ts'
import { type Answer, leavesOpen, notRoomcast, toError } from './post.ts'
import { isPublished, type Published } from './published.ts'
import { Failure, type Patience, retry } from './retry.ts'

/** A message of a batch: its room, its content, and the options of a publish. */
export type BatchItem<Rooms extends object = Record<string, unknown>> = {
  [Room in keyof Rooms & string]: { room: Room, key?: string, exclude?: string } & Content<Rooms[Room]>
}[keyof Rooms & string]

/** The maximum of messages in one request, as the service sets it. */
const MAX_ITEMS = 100
/** The maximum of bytes in one request: 16 times the default of MAX_MESSAGE_BYTES, with a margin. */
const MAX_BYTES = 15 * 65_536

/** An item of a batch, until it has a result. */
class Sending {
  readonly room: string
  readonly json: string
  readonly bytes: number
  /** Whether an attempt may have published the item. */
  mayBeDone = false
  /** The error of the last attempt. */
  error: RoomcastError | undefined
  #published: Published | undefined
  readonly #hasOwnKey: boolean

  /** Throws `invalid_request` for an invalid item. */
  constructor (item: unknown) {
    const { fields, bytes } = encodeContent(item)
    const { room, key, exclude } = toObject(item)
    if (typeof room !== 'string') throw invalid('"room" is a string')
    if (exclude !== undefined && typeof exclude !== 'string') throw invalid('"exclude" is a string')
    const rest = JSON.stringify({ room, key: toKey(key), exclude }).slice(1)
    const content = bytes === undefined ? fields : `"base64":"${encodeBase64(bytes)}"${fields === '' ? '' : `,${fields}`}`
    this.room = room
    this.json = `{${content},${rest}`
    this.bytes = new TextEncoder().encode(this.json).length
    this.#hasOwnKey = key !== undefined
  }

  /** The published message, or the error of the item. */
  get result (): Published | RoomcastError {
    if (this.#published !== undefined) return this.#published
    const error = this.error ?? notSent()
    return this.mayBeDone ? toUnknown(error, this.#hasOwnKey) : error
  }

  /** Takes the service's result of the item. */
  take (result: JsonObject): void {
    if ('error' in result || !isPublished(result)) {
      this.error = toError(result.error)
      if (leavesOpen(this.error)) this.mayBeDone = true
    } else {
      this.error = undefined
      this.#published = { ...result, replayed: result.replayed === true }
    }
  }
}

/** The rooms whose remaining items are skipped, because an earlier message failed; `all` stands for every room. */
interface Stopped {
  rooms: Set<string>
  all: boolean
}

/**
 * Publishes items in as few requests as possible, one after the other: a request starts when each item of the last one is
 * published or has failed. Resolves with the results in the order of the items.
 */
export async function publishBatch (items: unknown, begin: () => Attempt, patience: Patience): Promise<(Published | RoomcastError)[]> {
  if (!Array.isArray(items)) throw invalid('A batch is an array')
  const all = items.map(toSending)
  const stopped: Stopped = { rooms: new Set(), all: false }
  for (const group of toGroups(all.filter((item) => item instanceof Sending))) await send(group, begin, patience, stopped)
  return all.map((item) => item instanceof Sending ? item.result : item)
}

function toSending (item: unknown): Sending | RoomcastError {
  try {
    return new Sending(item)
  } catch (error) {
    return error instanceof RoomcastError ? error : invalid(String(error), error)
  }
}

/** Divides items into groups that fit into one request each. */
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

/** Sends items in one request, and retries those that failed for now. */
async function send (group: Sending[], begin: () => Attempt, patience: Patience, stopped: Stopped): Promise<void> {
  const isStopped = ({ room }: Sending): boolean => stopped.all || stopped.rooms.has(room)
  for (const item of group.filter(isStopped)) item.error = notSent()
  let open = group.filter((item) => !isStopped(item))
  if (open.length === 0) return
  const attempt = begin()
  const failure = await retry(async (signal) => {
    const body = `{"messages":[${open.map(({ json }) => json).join(',')}]}`
    const answer = await attempt({ path: '/v1/messages', headers: { 'content-type': 'application/json' }, body }, signal)
    const results = answer instanceof Failure ? answer : readResults(answer, open.length)
    if (results instanceof Failure) {
      for (const item of open) {
        item.error = results.error
        item.mayBeDone ||= results.mayBeDone
      }
      return results
    }
    for (const [i, result] of results.entries()) open[i]?.take(result)
    open = open.filter(({ error }) => error?.retryable === true)
    return toFailure(open)
  }, patience)
  if (failure === undefined) return

  if (isTooLarge(failure) && open.length > 1) {
    // The service, or a proxy, has a lower limit than the default.
    const middle = Math.ceil(open.length / 2)
    await send(open.slice(0, middle), begin, patience, stopped)
    await send(open.slice(middle), begin, patience, stopped)
  } else if (failure.isWorthRetrying) {
    for (const { room } of open) stopped.rooms.add(room)
    if (!(failure instanceof ItemFailure)) stopped.all = true
  }
}

/** The failure of some items in a request that succeeded. */
class ItemFailure extends Failure {}

/** The service's result of each item. */
function readResults ({ body: { results } }: Answer, count: number): JsonObject[] | Failure {
  const isResult = (result: unknown): result is JsonObject => isObject(result) && ('error' in result || isPublished(result))
  return Array.isArray(results) && results.length === count && results.every(isResult) ? results : notRoomcast()
}

/** The failure of the items that need a retry; undefined if there are none. */
function toFailure (open: Sending[]): ItemFailure | undefined {
  const error = open[0]?.error
  if (error === undefined) return undefined
  const retryAfterMs = Math.max(...open.map((item) => item.error?.retryAfterMs ?? 0))
  return new ItemFailure(new RoomcastError(error.code, error.message, { retryable: true, retryAfterMs }), { isWorthRetrying: true })
}

function isTooLarge ({ error: { code } }: Failure): boolean {
  return code === 'message_too_large' || code === 'http_413'
}

function notSent (): RoomcastError {
  return new RoomcastError('unavailable', 'It was not sent: a message before it was given up', { retryable: true })
}
