import { types } from 'node:util'
import { RoomcastError } from '../errors.ts'
import { isDeeperThan, MAX_JSON_DEPTH } from '../protocol/depth.ts'
import type { Content } from '../protocol/message.ts'
import { isEvent, isKey, isOrigin, MAX_EVENT_CHARACTERS, MAX_KEY_CHARACTERS } from '../protocol/names.ts'
import type { HistoryOptions, ListOptions, PublishOptions } from './rooms.ts'

/** Checks a content by the rules of REST; throws `invalid_request` or `too_deep`. */
export function checkContent (content: Content): void {
  const { text, data, bytes, event, kind } = readObject(content, 'A message')
  if (kind !== undefined) throw invalid('A message has no "kind"; pass { text }, { data, event? } or { bytes, event? }')
  if (Number(text !== undefined) + Number(data !== undefined) + Number(bytes !== undefined) !== 1) {
    throw invalid('A message has exactly one of "text", "data" and "bytes"')
  }
  if (text !== undefined && typeof text !== 'string') throw invalid('"text" must be a string')
  if (bytes !== undefined && !types.isUint8Array(bytes)) throw invalid('"bytes" must be a Uint8Array')
  if (event !== undefined && !isEvent(event)) throw invalid(labelRule('event', MAX_EVENT_CHARACTERS))
  if (typeof data === 'function' || typeof data === 'symbol') throw invalid('"data" must be JSON')
  if (isDeeperThan(data, MAX_JSON_DEPTH)) throw new RoomcastError('too_deep', `data is nested more than ${MAX_JSON_DEPTH} deep`)
}

/** Checks the options of a publish; throws `invalid_request`. */
export function checkPublishOptions (options: PublishOptions): PublishOptions {
  const { key, exclude } = readObject(options, 'The options of publish')
  if (key !== undefined && !isKey(key)) throw invalid(labelRule('key', MAX_KEY_CHARACTERS))
  if (exclude !== undefined && !isOrigin(exclude)) throw invalid('"exclude" must be an origin: 16–64 of the characters A–Z a–z 0–9 _ -')
  return { key, exclude }
}

/** Checks the options of a read of history; throws `invalid_request`. */
export function checkHistoryOptions (options: HistoryOptions): HistoryOptions {
  const { after, before, epoch, limit } = readObject(options, 'The options of history')
  return {
    after: readInteger(after, 'after', 0),
    before: readInteger(before, 'before', 0),
    epoch: readString(epoch, 'epoch'),
    limit: readInteger(limit, 'limit', 1)
  }
}

/** Checks the options of a list of rooms; throws `invalid_request`. */
export function checkListOptions (options: ListOptions): ListOptions {
  const { prefix, cursor, limit } = readObject(options, 'The options of list')
  return { prefix: readString(prefix, 'prefix'), cursor: readString(cursor, 'cursor'), limit: readInteger(limit, 'limit', 1) }
}

function readObject (value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw invalid(`${what} must be an object`)
  return { ...value }
}

function readInteger (value: unknown, name: string, least: number): number | undefined {
  if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value) && value >= least)) return value
  throw invalid(`"${name}" must be an integer of at least ${least}`)
}

function readString (value: unknown, name: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw invalid(`"${name}" must be a string`)
}

function labelRule (name: string, maxCharacters: number): string {
  return `"${name}" must be a string of 1–${maxCharacters} characters without control characters`
}

function invalid (text: string): RoomcastError {
  return new RoomcastError('invalid_request', text)
}
