import type { ServerFrame } from '../../src/protocol/frames.ts'
import type { History, Stored } from './history.ts'

/** A member of a room: one connection. */
export interface Member {
  readonly user: string
  readonly origin: string
  send (frame: ServerFrame, bytes?: Uint8Array): void
}

/** A room with its members. */
export class Room {
  readonly name: string
  /** Its name in the frames of its members: a user's own room is `@user`. */
  readonly label: string
  readonly members = new Set<Member>()
  history: History

  constructor (name: string, history: History) {
    this.name = name
    this.label = name.startsWith('@user:') ? '@user' : name
    this.history = history
  }

  /** Adds a member. The other users get a notice of a new user. */
  add (member: Member): void {
    if (this.members.has(member)) return
    const isNew = !this.#has(member.user)
    this.members.add(member)
    if (isNew) this.#notify('joined', member.user)
  }

  /** Removes a member. The other users get a notice of a user without a connection. */
  remove (member: Member): void {
    if (this.members.delete(member) && !this.#has(member.user)) this.#notify('left', member.user)
  }

  /** Sends a message to the members. */
  deliver ({ frame, bytes, exclude }: Stored): void {
    for (const member of this.members) if (member.origin !== exclude) member.send(frame, bytes)
  }

  /** Tells the members that messages may be missing. */
  reset (reason: 'epoch' | 'history'): void {
    for (const member of this.members) member.send({ type: 'reset', room: this.label, ...this.history.position, reason })
  }

  #has (user: string): boolean {
    for (const member of this.members) if (member.user === user) return true
    return false
  }

  #notify (event: 'joined' | 'left', user: string): void {
    if (this.name.startsWith('@')) return
    for (const member of this.members) {
      if (member.user !== user) member.send({ type: 'system', room: this.label, event, user, text: `${user} ${event} ${this.label}` })
    }
  }
}
