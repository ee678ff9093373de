import { types } from 'node:util'
import { RoomcastError } from '../errors.ts'
import { MAX_JSON_DEPTH } from '../protocol/depth.ts'
import { findJsonFault } from '../protocol/json.ts'
import { type Content, sizeOf } from '../protocol/message.ts'
import { isEvent, isKey, isOrigin, MAX_EVENT_CHARACTERS, MAX_KEY_CHARACTERS } from '../protocol/names.ts'
import { NotJson, toPlainJson, TooDeep } from './plain-json.ts'
import type { HistoryOptions, ListOptions, PublishOptions } from './rooms.ts'

/** Characters of the parameters of a list of rooms, as in REST. */
const MAX_LIST_CHARACTERS = 128

/**
 * Reads a content by the rules of REST, each member once; throws `invalid_request`, `invalid_json`, `too_deep` or
 * `message_too_large`.
 *
 * @param maxBytes 0 for no limit
 */
export function readContent (given: Content, maxBytes: number): Content {
  const { text, data, bytes, event, kind } = readMembers(given, 'A message', ['text', 'data', 'bytes', 'event', 'kind'])
  if (kind !== undefined) throw invalid('A message has no "kind"; pass { text }, { data, event? } or { bytes, event? }')
  if (Number(text !== undefined) + Number(data !== undefined) + Number(bytes !== undefined) !== 1) {
    throw invalid('A message has exactly one of "text", "data" and "bytes"')
  }
  if (event !== undefined && !isEvent(event)) {
    throw invalid(`"event" must be a string of 1–${MAX_EVENT_CHARACTERS} characters without control characters`)
  }
  const content = readPayload(text, data, bytes)
  if (event !== undefined) content.event = event
  const fault = findJsonFault(content.text ?? content.data, MAX_JSON_DEPTH) ?? findJsonFault(event, MAX_JSON_DEPTH)
  if (fault !== undefined) throw new RoomcastError(fault.code, fault.text)
  if (maxBytes > 0 && sizeOf(content) > maxBytes) throw new RoomcastError('message_too_large', `A message may have ${maxBytes} bytes`)
  return content
}

function readPayload (text: unknown, data: unknown, bytes: unknown): Content {
  if (text !== undefined) {
    if (typeof text !== 'string') throw invalid('"text" must be a string')
    return { text }
  }
  if (bytes === undefined) return { data: readData(data) }
  if (!types.isUint8Array(bytes)) throw invalid('"bytes" must be a Uint8Array')
  if (isDetached(bytes)) throw invalid('"bytes" has been transferred and is empty')
  return { bytes }
}

function readData (data: unknown): unknown {
  try {
    return toPlainJson(data, MAX_JSON_DEPTH)
  } catch (error) {
    if (error instanceof TooDeep) throw new RoomcastError('too_deep', `data is nested more than ${MAX_JSON_DEPTH} deep`)
    throw invalid(`"data" must be JSON: ${error instanceof NotJson ? error.message : `it cannot be read (${textOf(error)})`}`)
  }
}

function isDetached ({ length, buffer }: Uint8Array): boolean {
  if (length > 0) return false
  try {
    buffer.slice(0, 0)
    return false
  } catch {
    return true
  }
}

/** Reads the options of a publish; throws `invalid_request`. */
export function readPublishOptions (options: PublishOptions): PublishOptions {
  const { key, exclude } = readMembers(options, 'The options of publish', ['key', 'exclude'])
  if (key !== undefined && !isKey(key)) {
    throw invalid(`"key" must be a string of 1–${MAX_KEY_CHARACTERS} characters without control characters, and no space at either end`)
  }
  if (exclude !== undefined && !isOrigin(exclude)) throw invalid('"exclude" must be an origin: 16–64 of the characters A–Z a–z 0–9 _ -')
  return { key, exclude }
}

/** Reads the options of a read of history; throws `invalid_request`. */
export function readHistoryOptions (options: HistoryOptions): HistoryOptions {
  const { after, before, epoch, limit } = readMembers(options, 'The options of history', ['after', 'before', 'epoch', 'limit'])
  return {
    after: readInteger(after, 'after', 0),
    before: readInteger(before, 'before', 0),
    epoch: readString(epoch, 'epoch'),
    limit: readInteger(limit, 'limit', 1)
  }
}

/** Reads the options of a list of rooms; throws `invalid_request`. */
export function readListOptions (options: ListOptions): ListOptions {
  const { prefix, cursor, limit } = readMembers(options, 'The options of list', ['prefix', 'cursor', 'limit'])
  return {
    prefix: readString(prefix, 'prefix', MAX_LIST_CHARACTERS),
    cursor: readString(cursor, 'cursor', MAX_LIST_CHARACTERS),
    limit: readInteger(limit, 'limit', 1)
  }
}

/** Reads members of an object of the application once each: getters and Proxies may throw, or give another value later. */
function readMembers<Name extends string> (value: unknown, what: string, names: readonly Name[]): Partial<Record<Name, unknown>> {
  if (typeof value !== 'object' || value === null) throw invalid(`${what} must be an object`)
  const members: Partial<Record<Name, unknown>> = {}
  let isList: boolean
  try {
    isList = Array.isArray(value)
    for (const name of names) members[name] = (value as Partial<Record<Name, unknown>>)[name]
  } catch (error) {
    throw invalid(`${what} cannot be read: ${textOf(error)}`)
  }
  if (isList) throw invalid(`${what} must be an object`)
  return members
}

function readInteger (value: unknown, name: string, least: number): number | undefined {
  if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value) && value >= least)) return value
  throw invalid(`"${name}" must be an integer of at least ${least}`)
}

function readString (value: unknown, name: string, maxCharacters = Infinity): string | undefined {
  if (value === undefined || (typeof value === 'string' && value.length <= maxCharacters)) return value
  throw invalid(`"${name}" must be a string${maxCharacters === Infinity ? '' : ` of at most ${maxCharacters} characters`}`)
}

function textOf (error: unknown): string {
  return error instanceof Error ? error.message : 'an exception that is no Error'
}

function invalid (text: string): RoomcastError {
  return new RoomcastError('invalid_request', text)
}
