import { encodeBase64 } from '../base64.ts'
import type { Content, Stored } from './history.ts'
import { Refusal } from './refusal.ts'

/** How long the service remembers a key, ms. */
const KNOWN_MS = 300_000

/** A message in its room, and the connections of the room at that time. */
export interface Placed {
  stored: Stored
  epoch: string
  audience: number
}

/** The publishes with a key. A retry gets the first result again. */
export class Publishes {
  readonly #known = new Map<string, { print: string, placed: Placed, until: number }>()

  /** Publishes once for each user, room and key within five minutes. Throws `idempotency_conflict` for another message. */
  once (room: string, user: string, key: string, { bytes, ...content }: Content, time: number, publish: () => Placed): Placed {
    const name = JSON.stringify([room, user, key])
    const print = JSON.stringify([content.event, content.text, content.data, bytes && encodeBase64(bytes)])
    const earlier = this.#known.get(name)
    if (earlier !== undefined && earlier.until > time) {
      if (earlier.print !== print) throw new Refusal('idempotency_conflict', 'Idempotency key was used for another message')
      return earlier.placed
    }
    const placed = publish()
    this.#known.set(name, { print, placed, until: time + KNOWN_MS })
    return placed
  }

  /** Forgets all keys. */
  clear (): void {
    this.#known.clear()
  }
}
