import type { FrameId, ServerFrame } from '../src/protocol/frames.ts'

/** A frame that may answer one of the client's own. */
export type Answer = Extract<ServerFrame, { id?: FrameId }>

/** The client's frames without an answer: one table, from the id of a frame to the owner of its answer. */
export class Answers {
  readonly #owners = new Map<FrameId, (answer: Answer) => void>()
  #lastId = 0

  /** A new id for a frame. */
  nextId (): number {
    return ++this.#lastId
  }

  /** Registers the owner of an answer; it stays until it is forgotten. */
  expect (id: FrameId, owner: (answer: Answer) => void): void {
    this.#owners.set(id, owner)
  }

  /** Removes the owner of an answer. */
  forget (id: FrameId): void {
    this.#owners.delete(id)
  }

  /** Gives a frame to the owner of its id. Returns false for other frames. */
  take (frame: ServerFrame): boolean {
    if (!('id' in frame) || frame.id === undefined) return false
    const owner = this.#owners.get(frame.id)
    owner?.(frame)
    return owner !== undefined
  }
}
