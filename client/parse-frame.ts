import type { ServerFrame } from '../src/protocol/frames.ts'
import { decodeBase64 } from './base64.ts'
import { isObject, type JsonObject } from './json.ts'

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
  error: 'code text retryable',
  close: 'code'
}
/** The types of the properties, which are the same in all frames; `number` stands for an integer from 0. */
const TYPES = Object.entries({
  string: 'room epoch user from event text reason code base64',
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
 *
 * @param mayHaveBytes whether the bytes of a binary message may follow
 */
export function parseFrame (text: unknown, mayHaveBytes = false): ServerFrame | CloseEvent {
  if (typeof text !== 'string' || text.length > MAX_CHARACTERS) throw fault('a long text, or bytes')
  return checkFrame(JSON.parse(text), mayHaveBytes)
}

/** Checks the properties of a frame. Throws an error for a value that is no frame, or has a property of the wrong type. */
export function checkFrame (frame: unknown, mayHaveBytes = false): ServerFrame | CloseEvent {
  if (!isObject(frame) || typeof frame.type !== 'string') throw fault('no frame')
  const required = Object.hasOwn(REQUIRED, frame.type) ? REQUIRED[frame.type] : undefined
  if (required !== undefined) {
    for (const name of required.split(' ')) if (frame[name] === undefined) throw fault(`no "${name}"`)
    for (const [name, type] of TYPES) {
      if (!hasType(frame[name], name === 'code' && frame.type === 'close' ? 'number' : type)) throw fault(`a wrong "${name}"`)
    }
    if (frame.type === 'message') checkContent(frame, mayHaveBytes)
    if (frame.type === 'history') {
      if (!Array.isArray(frame.messages)) throw fault('a wrong "messages"')
      for (const message of frame.messages) if (checkFrame(message).type !== 'message') throw fault('a history of other frames')
    }
  }
  return frame as unknown as ServerFrame
}

/** A message has exactly one content. */
function checkContent ({ data, text, base64, binary }: JsonObject, mayHaveBytes: boolean): void {
  const given = [data, text, base64, mayHaveBytes ? binary : undefined].filter((content) => content !== undefined)
  if (given.length !== 1) throw fault('a message without a content')
  if (typeof base64 === 'string') decodeBase64(base64)
}

function hasType (value: unknown, type: string): boolean {
  if (value === undefined) return true
  return type === 'number' ? Number.isSafeInteger(value) && Number(value) >= 0 : typeof value === type // eslint-disable-line valid-typeof
}

function fault (reason: string): Error {
  return new Error(`The service sent ${reason}`)
}
