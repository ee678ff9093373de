import { RoomcastError } from './errors.ts'

/** The content of a message, copied: the caller may change its values before a retry. */
export type Payload = { json: string, bytes?: undefined } | { bytes: Uint8Array<ArrayBuffer>, json?: undefined }

/** Whether a value is bytes: an `ArrayBuffer`, or a view of one, such as a `Uint8Array`, a `Buffer` or a `DataView`. */
export function isBytes (value: unknown): value is ArrayBufferLike | ArrayBufferView {
  return ArrayBuffer.isView(value) || /^\[object (Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(value))
}

/** Copies bytes. */
export function copyBytes (value: ArrayBufferLike | ArrayBufferView): Uint8Array<ArrayBuffer> {
  const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value)
  return new Uint8Array(bytes)
}

/** Encodes a value: bytes as bytes, any other value as JSON. Throws `invalid_request` for a value that JSON cannot carry. */
export function toPayload (value: unknown): Payload {
  return isBytes(value) ? { bytes: copyBytes(value) } : { json: toJson(value) }
}

/**
 * Encodes a value as JSON. Throws `invalid_request` for a value that JSON would drop or change silently: functions, symbols,
 * `undefined` (except as a property), numbers that are not finite, and objects without properties of their own, such as a Map.
 */
export function toJson (value: unknown): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value, refuseLoss)
  } catch (error) {
    if (error instanceof RoomcastError) throw error
    throw invalid(`The value cannot be JSON: ${error instanceof Error ? error.message : String(error)}`, error)
  }
  if (json === undefined) throw lossy('undefined')
  return json
}

/** The error of an invalid argument. */
export function invalid (message: string, cause?: unknown): RoomcastError {
  return new RoomcastError('invalid_request', message, { cause })
}

/** A replacer of `JSON.stringify`. */
function refuseLoss (this: unknown, _name: string, value: unknown): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') throw lossy(`a ${typeof value}`)
  if (typeof value === 'number' && !Number.isFinite(value)) throw lossy(String(value))
  if (value === undefined && Array.isArray(this)) throw lossy('undefined in a list')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  if (isBytes(value)) throw lossy('bytes inside of an object; publish them alone, or as base64:')
  const tag = Object.prototype.toString.call(value).slice(8, -1)
  if (!/^(Object|Number|String|Boolean|BigInt)$/.test(tag) && Object.keys(value).length === 0) throw lossy(`an object of type ${tag}`)
  return value
}

function lossy (kind: string): RoomcastError {
  return invalid(`JSON cannot carry ${kind}`)
}
