import type { Presence } from './presence.ts'

/** The presence of a single instance. */
export class MemoryPresence implements Presence {
  /** Room → user → connections. */
  readonly #rooms = new Map<string, Map<string, number>>()

  async enter (room: string, user: string): Promise<number | undefined> {
    let users = this.#rooms.get(room)
    if (users === undefined) this.#rooms.set(room, users = new Map())
    const before = users.get(user) ?? 0
    users.set(user, before + 1)
    return before === 0 ? users.size : undefined
  }

  async leave (room: string, user: string): Promise<number | undefined> {
    const users = this.#rooms.get(room)
    const before = users?.get(user) ?? 0
    if (users === undefined || before === 0) return undefined
    if (before > 1) users.set(user, before - 1)
    else users.delete(user)
    if (users.size === 0) this.#rooms.delete(room)
    return before === 1 ? users.size : undefined
  }

  listen (): void {} // The only instance is never lost.
}
