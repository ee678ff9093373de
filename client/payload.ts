import { RoomcastError, toCause } from './errors.ts'

/** The content of a message, copied: the caller may change its values before a retry. */
export type Payload = { json: string, bytes?: undefined } | { bytes: Uint8Array<ArrayBuffer>, json?: undefined }

/** Whether a value is bytes: an `ArrayBuffer`, or a view of one, such as a `Uint8Array`, a `Buffer` or a `DataView`. */
export function isBytes (value: unknown): value is ArrayBufferLike | ArrayBufferView {
  return ArrayBuffer.isView(value) || isBuffer(value)
}

/** Copies bytes. Throws `invalid_request` for bytes that were transferred to another thread. */
export function copyBytes (value: ArrayBufferLike | ArrayBufferView): Uint8Array<ArrayBuffer> {
  try {
    const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value)
    return new Uint8Array(bytes)
  } catch (error) {
    throw invalid('The bytes are no longer there', error)
  }
}

/** Encodes a value: bytes as bytes, any other value as JSON. Throws `invalid_request` for a value that JSON cannot carry. */
export function toPayload (value: unknown): Payload {
  return isBytes(value) ? { bytes: copyBytes(value) } : { json: toJson(value) }
}

/**
 * Encodes a value as JSON. Throws `invalid_request` for a value that JSON would drop or change silently: functions, symbols,
 * `undefined` (except as a property), numbers that are not finite, and objects without own properties, such as a Map.
 */
export function toJson (value: unknown): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value, refuseLoss)
  } catch (error) {
    throw error instanceof RoomcastError ? error : invalid(toCause(error).message, error)
  }
  if (json === undefined) throw invalid('JSON cannot carry undefined')
  return json
}

/** The error of an invalid argument. */
export function invalid (message: string, cause?: unknown): RoomcastError {
  return new RoomcastError('invalid_request', message, { cause })
}

/** A replacer of `JSON.stringify`. */
function refuseLoss (this: unknown, name: string, value: unknown): unknown {
  const isNumber = typeof value === 'number' || value instanceof Number
  const isLost = value === undefined
    ? Array.isArray(this)
    : isNumber
      ? !Number.isFinite(Number(value))
      : /^(function|symbol)$/.test(typeof value) || isBytes(value) || isOpaque(value)
  if (isLost) throw invalid(`JSON cannot carry ${tagOf(value)}${name === '' ? '' : ` in "${name}"`}`)
  return value
}

/** Whether an object keeps its content where JSON does not find it. */
function isOpaque (value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const tag = tagOf(value)
  return / (Map|Set|WeakMap|WeakSet|Promise|RegExp|Error)\]$/.test(tag) ||
    (Object.keys(value).length === 0 && !/ (Object|Array|Number|String|Boolean|BigInt)\]$/.test(tag))
}

/** Whether a value is an `ArrayBuffer`, also one of another window, and not an object that only has its name. */
function isBuffer (value: unknown): value is ArrayBufferLike {
  if (typeof value !== 'object' || value === null) return false
  return [ArrayBuffer, globalThis.SharedArrayBuffer as typeof SharedArrayBuffer | undefined].some((type) => {
    try {
      Object.getOwnPropertyDescriptor(type?.prototype ?? {}, 'byteLength')?.get?.call(value)
      return type !== undefined
    } catch {
      return false
    }
  })
}

/** The type of a value, such as `[object Map]`. */
function tagOf (value: unknown): string {
  return Object.prototype.toString.call(value)
}
