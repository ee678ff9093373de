import type { Position } from '../../src/protocol/position.ts'
import type { TabSocket } from './tab-socket.ts'

/** A room of a shared connection, and the tabs in it. */
export class SharedRoom {
  /** The tabs that have asked to join and not to leave. */
  readonly wanted = new Set<TabSocket>()
  /** The tabs that receive the messages: those whose join was answered. */
  readonly members = new Set<TabSocket>()
  /** The connection is a member. */
  isJoined = false
  /** The epoch of the latest position. */
  epoch: string | undefined
  /** The tab that resumes, and the number of missed messages that are yet to come. They come one behind the other. */
  #resuming: { socket: TabSocket, missed: number } | undefined

  /** A tab resumes: the next messages are for this tab alone. */
  resume (socket: TabSocket, missed: number): void {
    if (missed > 0) this.#resuming = { socket, missed }
  }

  /** The tabs that receive the next message; `receivers` unless one tab resumes. */
  nextReceivers (receivers: TabSocket[]): TabSocket[] {
    const resuming = this.#resuming
    if (resuming === undefined) return receivers
    if (--resuming.missed === 0) this.#resuming = undefined
    return [resuming.socket]
  }

  /** `epoch:offset` of a message; undefined in a room without history. */
  positionOf ({ epoch = this.epoch, offset }: Partial<Position>): string | undefined {
    return offset === undefined ? undefined : `${epoch}:${offset}`
  }
}
