import type { Published as Placed } from '../published.ts'
import type { JsonObject } from '../json.ts'

/** A message that is in its room. */
export interface Published extends Placed {
  /** ms since 1970, by the service's clock. */
  readonly time: number
  /** The number of connections in the room. */
  readonly audience: number
  /** Whether an earlier attempt, or an earlier call with the same key, published the message. */
  readonly replayed: boolean
}

/** Whether a reply of the service describes a published message. */
export function isPublished (body: JsonObject): body is JsonObject & Omit<Published, 'replayed'> {
  return typeof body.time === 'number' && typeof body.audience === 'number' && typeof body.room === 'string'
}
