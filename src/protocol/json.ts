import { MAX_JSON_DEPTH } from './depth.ts'

/*
 * The rules of published JSON, for REST, frames and `app.rooms`. They keep what every reader can read: a message may go to
 * clients in any language. JSON that cannot be passed on unchanged is refused (RFC 7493 has the same rules of numbers and texts).
 */

/** The reason why JSON is refused. `too_deep` only if there is no other. */
export interface JsonFault {
  code: 'invalid_json' | 'too_deep'
  text: string
}

const FAULTS = {
  name: { code: 'invalid_json', text: 'A member may not be named "__proto__", nor "constructor" with a member "prototype"' },
  number: { code: 'invalid_json', text: 'A number is not finite or too large: numbers are IEEE 754 doubles, up to 1.7976931348623157e308' },
  text: { code: 'invalid_json', text: 'A text has half of a surrogate pair, such as "\\ud83d" without "\\udc4b"; send whole characters' },
  depth: { code: 'too_deep', text: `JSON is nested more than ${MAX_JSON_DEPTH} deep` }
} as const satisfies Record<string, JsonFault>

/** Parses a JSON text; throws a `SyntaxError`. A byte order mark at its start is ignored, as RFC 8259, section 8.1 allows. */
export function parseJson (text: string): unknown {
  return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text)
}

/**
 * Finds the first fault of a parsed JSON value; undefined if there is none. It looks no deeper than `limit`, so it also takes
 * values that are nested so deeply that a recursive function would overflow.
 *
 * @param hasEscapes false if the JSON text has no `\u`: then no string can be half a character, because UTF-8 cannot hold one
 */
export function findJsonFault (value: unknown, limit: number, hasEscapes = true): JsonFault | undefined {
  if (typeof value === 'string') return hasEscapes && !value.isWellFormed() ? FAULTS.text : undefined
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : FAULTS.number
  if (typeof value !== 'object' || value === null) return undefined
  if (limit === 0) return FAULTS.depth
  return Array.isArray(value) ? faultOfItems(value, limit, hasEscapes) : faultOfMembers(value as Members, limit, hasEscapes)
}

type Members = Record<string, unknown>

function faultOfItems (items: unknown[], limit: number, hasEscapes: boolean): JsonFault | undefined {
  let deep: JsonFault | undefined
  for (const item of items) {
    const fault = findJsonFault(item, limit - 1, hasEscapes)
    if (fault === undefined) continue
    if (fault !== FAULTS.depth) return fault
    deep = fault
  }
  return deep
}

function faultOfMembers (members: Members, limit: number, hasEscapes: boolean): JsonFault | undefined {
  let deep: JsonFault | undefined
  for (const name in members) {
    const value = members[name]
    if (isForbidden(name, value)) return FAULTS.name
    if (hasEscapes && !name.isWellFormed()) return FAULTS.text
    const fault = findJsonFault(value, limit - 1, hasEscapes)
    if (fault === undefined) continue
    if (fault !== FAULTS.depth) return fault
    deep = fault
  }
  return deep
}

/** Whether a member could change the prototype of an object into which a reader copies it. */
function isForbidden (name: string, value: unknown): boolean {
  if (name === '__proto__') return true
  return name === 'constructor' && typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype')
}
