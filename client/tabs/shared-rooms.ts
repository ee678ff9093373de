import type { ClientFrames, ServerFrame } from '../../src/protocol/frames.ts'
import { SharedRoom } from './shared-room.ts'
import type { TabSocket } from './tab-socket.ts'

/** The rooms of a shared connection. The connection leaves a room when no tab wants it. */
export class SharedRooms {
  readonly #rooms = new Map<string, SharedRoom>()
  readonly #leave: (room: string) => void

  /** @param leave has the connection leave a room */
  constructor (leave: (room: string) => void) {
    this.#leave = leave
  }

  /** A room by its name. */
  of (name: string): SharedRoom {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = new SharedRoom()
      this.#rooms.set(name, room)
    }
    return room
  }

  /** Forgets a tab in all rooms. */
  remove (socket: TabSocket): void {
    for (const [name, room] of this.#rooms) {
      const wasWanted = room.wanted.delete(socket)
      room.members.delete(socket)
      if (wasWanted && room.wanted.size === 0) this.#leaveUnlessAutomatic(name)
      this.tidy(name)
    }
  }

  /** The service has ended the membership. */
  removeAll (name: string): void {
    const room = this.of(name)
    for (const socket of room.members) room.wanted.delete(socket)
    room.members.clear()
    room.isJoined = false
    this.tidy(name)
  }

  /** Forgets a room that no tab is in, once the connection is not in it. */
  tidy (name: string): void {
    const { wanted, members, isJoined } = this.of(name)
    if (wanted.size === 0 && members.size === 0 && !isJoined) this.#rooms.delete(name)
  }

  /** Reads the epoch of a frame. */
  onFrame (frame: ServerFrame): void {
    if ((frame.type === 'reset' || frame.type === 'joined') && frame.epoch !== undefined) this.of(frame.room).epoch = frame.epoch
  }

  /** A join was answered. `socket` may have ended, or have asked to leave. */
  onJoinAnswer (socket: TabSocket | undefined, { room: name }: ClientFrames['join'], answer: ServerFrame): void {
    if (socket === undefined) return
    if (answer.type === 'joined') {
      const room = this.of(answer.room)
      this.onFrame(answer)
      room.isJoined = true
      if (room.wanted.has(socket)) room.members.add(socket)
      if (answer.recovered === true) room.resume(socket, answer.missed ?? 0)
    } else if (answer.type === 'error') {
      const room = this.of(name)
      if (room.members.has(socket)) return
      room.wanted.delete(socket)
      if (room.isJoined && room.wanted.size === 0) this.#leaveUnlessAutomatic(name)
      this.tidy(name)
    }
  }

  /** A leave was answered. */
  onLeaveAnswer (socket: TabSocket | undefined, { room: name }: ClientFrames['leave'], answer: ServerFrame): void {
    const room = this.of(name)
    if (answer.type === 'left' || answer.type === 'error') room.isJoined = false
    if (socket !== undefined && !room.wanted.has(socket)) room.members.delete(socket)
    this.tidy(name)
  }

  #leaveUnlessAutomatic (name: string): void {
    if (!name.startsWith('@')) this.#leave(name)
  }
}
