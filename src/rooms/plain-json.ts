import { types } from 'node:util'

/** A value that is no JSON; `message` gives the reason. */
export class NotJson extends Error {
  override readonly name = 'NotJson'
}

/** A value that is nested too deeply, or contains itself. */
export class TooDeep extends Error {
  override readonly name = 'TooDeep'
}

/**
 * Copies a value of the application as `JSON.stringify` would read it, once: `toJSON` is called, and members that are `undefined`
 * are left out. Values that `JSON.stringify` would drop or empty silently are refused. Throws `NotJson`, `TooDeep`, and errors of the
 * application's getters.
 */
export function toPlainJson (value: unknown, maxDepth: number): unknown {
  const copy = copyOf(value, maxDepth, '')
  if (copy === undefined) throw new NotJson('undefined is no JSON')
  return copy
}

function copyOf (given: unknown, depth: number, name: string | number): unknown {
  if (typeof given === 'string' || typeof given === 'number' || typeof given === 'boolean') return given
  const value = unwrap(given, name)
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol') {
    throw new NotJson(`a ${typeof value} is no JSON`)
  }
  if (typeof value !== 'object' || value === null) return value
  if (depth === 0) throw new TooDeep()
  if (Array.isArray(value)) return copyItems(value, depth - 1)
  if (isOpaque(value)) throw new NotJson('an object without members of its own, such as a Map or an ArrayBuffer, is empty as JSON')
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const member = copyOf((value as Record<string, unknown>)[key], depth - 1, key)
    if (member === undefined) continue
    if (key === '__proto__') Object.defineProperty(copy, key, { value: member, enumerable: true }) // It would set the prototype.
    else copy[key] = member
  }
  return copy
}

function copyItems (items: unknown[], depth: number): unknown[] {
  const copy: unknown[] = []
  for (let i = 0; i < items.length; i++) {
    const item = copyOf(items[i], depth, i)
    if (item === undefined) throw new NotJson('undefined in a list is no JSON')
    copy.push(item)
  }
  return copy
}

/** The result of `toJSON`, and the value in an object such as `new Number(1)`. */
function unwrap (value: unknown, name: string | number): unknown {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'bigint') return value
  const { toJSON } = value as { toJSON?: unknown }
  const json: unknown = typeof toJSON === 'function' ? Reflect.apply(toJSON, value, [String(name)]) : value
  return !isPlain(json) && types.isBoxedPrimitive(json) ? json.valueOf() : json
}

/** Whether an object keeps its content where JSON does not find it, or has bytes, which are published as `bytes`. */
function isOpaque (value: object): boolean {
  if (isPlain(value)) return false
  return types.isMap(value) || types.isSet(value) || types.isWeakMap(value) || types.isWeakSet(value) || types.isPromise(value) ||
    types.isRegExp(value) || types.isNativeError(value) || types.isAnyArrayBuffer(value) || ArrayBuffer.isView(value)
}

/** Whether a value is a list or an ordinary object, as most are: other questions about a value take longer. */
function isPlain (value: unknown): boolean {
  return Array.isArray(value) || (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype)
}
