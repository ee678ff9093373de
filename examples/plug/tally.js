/** Counts the messages of a pane. Each author numbers the messages from 1, for both panes alike. */
export class Tally {
  #expected = new Map()
  #arrived = new Set()
  #latest = new Map()
  #doubled = 0
  #outOfOrder = 0

  /** Notes a message that somebody has written: it has to arrive. */
  expect (message) {
    this.#expected.set(toId(message), message)
  }

  /** Notes a message that came from the room, and returns what is wrong with it, if anything. */
  arrive (message) {
    const { author, number } = message
    const id = toId(message)
    if (this.#arrived.has(id)) {
      this.#doubled++
      return 'doubled'
    }
    this.#arrived.add(id)
    const latest = this.#latest.get(author) ?? 0
    this.#latest.set(author, Math.max(latest, number))
    if (number > latest) return undefined
    this.#outOfOrder++
    return 'out of order'
  }

  /** The messages that have not arrived. */
  get missing () {
    return [...this.#expected.values()].filter((message) => !this.#arrived.has(toId(message)))
  }

  /** `arrived` counts a message once. `outOfOrder` counts messages that came after a later one of the same author. */
  get counts () {
    return {
      expected: this.#expected.size,
      arrived: this.#arrived.size,
      missing: this.missing.length,
      doubled: this.#doubled,
      outOfOrder: this.#outOfOrder
    }
  }
}

function toId ({ author, number }) {
  return `${author} ${number}`
}
