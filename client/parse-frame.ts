import type { ServerFrame } from '../src/protocol/frames.ts'
import { isObject, type JsonObject } from './json.ts'

/** The longest text that is parsed, characters: many times longer than the longest frame of a service. */
const MAX_CHARACTERS = 64 * 1024 * 1024

/** The types of properties: a string, a number, an offset or a length, a boolean, an id. A question mark makes it optional. */
const POSITION = { epoch: 's?', offset: 'o?' }
const MESSAGE = { room: 's', offset: 'o?', from: 's', time: 'n', event: 's?', text: 's?' }
const SHAPES: { readonly [type: string]: { readonly [name: string]: string } | undefined } = {
  __proto__: null as never,
  welcome: { user: 's' },
  joined: { room: 's', ...POSITION, audience: 'n', recovered: 'b?', missed: 'o?' },
  left: { room: 's', reason: 's?' },
  ack: { room: 's', ...POSITION },
  message: { ...MESSAGE, binary: 'o?' },
  system: { room: 's', event: 's', user: 's?', count: 'n?', text: 's' },
  history: { room: 's', ...POSITION, recovered: 'b', messages: 'm', next: 'o?' },
  reset: { room: 's', ...POSITION, reason: 's' },
  error: { code: 's', text: 's', retryable: 'b' },
  close: { code: 'n' }
}

/** The last event of an event stream. */
export interface CloseEvent { type: 'close', code: number, reason?: unknown }

/**
 * Parses a text that arrived from the service. Unknown types and unknown properties pass: a newer service may send them.
 * Times are not checked here, see `readDelay`.
 *
 * Throws an error for a text that is no frame, or has a property of the wrong type.
 */
export function parseFrame (text: unknown): ServerFrame | CloseEvent {
  if (typeof text !== 'string' || text.length > MAX_CHARACTERS) throw fault('too long, or no text')
  return checkFrame(JSON.parse(text))
}

/** Checks the properties of a frame. Throws an error for a value that is no frame, or has a property of the wrong type. */
export function checkFrame (frame: unknown): ServerFrame | CloseEvent {
  if (!isObject(frame) || typeof frame.type !== 'string') throw fault('no frame')
  check(frame, SHAPES[frame.type] ?? {})
  return frame as unknown as ServerFrame
}

function check (value: JsonObject, shape: { readonly [name: string]: string }): void {
  for (const name in shape) if (!hasType(value[name], shape[name] ?? '')) throw fault(`"${name}" has a wrong type`)
}

function hasType (value: unknown, [type, optional]: string): boolean {
  if (value === undefined) return optional !== undefined
  if (type === 's') return typeof value === 'string'
  if (type === 'b') return typeof value === 'boolean'
  if (type === 'n') return typeof value === 'number'
  if (type === 'o') return Number.isSafeInteger(value) && value as number >= 0
  if (!Array.isArray(value)) return false
  for (const item of value) {
    if (!isObject(item)) return false
    check(item, { ...MESSAGE, base64: 's?' })
  }
  return true
}

function fault (reason: string): Error {
  return new Error(`The service sent an invalid frame: ${reason}`)
}
