/** A JSON object with unknown members. */
export type JsonObject = Record<string, unknown>

/** Whether a value is an object; an array is one, too. */
export function isObject (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null
}

/** The value itself if it is an object, otherwise an empty one. */
export function toObject (value: unknown): JsonObject {
  return isObject(value) ? value : {}
}
