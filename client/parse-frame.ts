import type { ServerFrame } from '../src/protocol/frames.ts'
import { isObject } from './json.ts'

/** The longest text that is parsed, characters: many times longer than the longest frame of a service. */
const MAX_CHARACTERS = 64 * 1024 * 1024

/** The properties that the frames of a type must have. */
const REQUIRED: Readonly<Record<string, string | undefined>> = {
  welcome: 'user',
  joined: 'room audience',
  left: 'room',
  ack: 'room',
  message: 'room from time',
  system: 'room event text',
  history: 'room recovered messages',
  reset: 'room reason',
  error: 'text retryable',
  close: 'code'
}
/** The types of the properties, which are the same in all frames; `number` stands for an integer from 0. */
const TYPES = Object.entries({
  string: 'room epoch user from event text reason base64',
  number: 'offset audience missed time count binary next',
  boolean: 'recovered retryable'
}).flatMap(([type, names]) => names.split(' ').map((name) => [name, type] as const))

/** The last event of an event stream. */
export interface CloseEvent { type: 'close', code: number, reason?: unknown }

/**
 * Parses a text that arrived from the service. Unknown types and unknown properties pass: a newer service may send them.
 * Times are not checked here, see `readDelay`.
 *
 * Throws an error for a text that is no frame, or has a property of the wrong type.
 */
export function parseFrame (text: unknown): ServerFrame | CloseEvent {
  if (typeof text !== 'string' || text.length > MAX_CHARACTERS) throw fault('a long text, or bytes')
  return checkFrame(JSON.parse(text))
}

/** Checks the properties of a frame. Throws an error for a value that is no frame, or has a property of the wrong type. */
export function checkFrame (frame: unknown): ServerFrame | CloseEvent {
  if (!isObject(frame) || typeof frame.type !== 'string') throw fault('no frame')
  const required = Object.hasOwn(REQUIRED, frame.type) ? REQUIRED[frame.type] : undefined
  if (required !== undefined) {
    for (const name of required.split(' ')) if (frame[name] === undefined) throw fault(`no "${name}"`)
    for (const [name, type] of TYPES) if (!hasType(frame[name], type)) throw fault(`a wrong "${name}"`)
    if (typeof frame.base64 === 'string') atob(frame.base64) // Throws for invalid bytes.
    if (frame.type === 'history') for (const message of frame.messages as unknown[]) checkFrame(message)
  }
  return frame as unknown as ServerFrame
}

function hasType (value: unknown, type: string): boolean {
  if (value === undefined) return true
  return type === 'number' ? Number.isSafeInteger(value) && Number(value) >= 0 : typeof value === type // eslint-disable-line valid-typeof
}

function fault (reason: string): Error {
  return new Error(`The service sent ${reason}`)
}
