import { EchoFilter } from './echo-filter.ts'
import { onLifeEnd } from './life-lock.ts'
import type { Open } from './port-messages.ts'

/** The clients of one page. They outlive their connections. */
export class Page {
  readonly #filters = new Map<string, EchoFilter>()
  /** What ends the socket of each client. */
  readonly #enders = new Map<string, () => void>()

  /** Registers what ends the socket of a client; returns a function that takes it back. */
  add (origin: string, end: () => void): () => void {
    this.#enders.set(origin, end)
    return () => { if (this.#enders.get(origin) === end) this.#enders.delete(origin) }
  }

  /** Ends the last socket of a client: the report of its end, over another port, may be late. */
  endLast (origin: string): void {
    this.#enders.get(origin)?.()
  }

  /** The filter of a client in a room, if it has one. */
  filter (origin: string, room: string): EchoFilter | undefined {
    return this.#filters.get(`${origin} ${room}`)
  }

  /** The filter of a client in a room. */
  makeFilter (origin: string, room: string): EchoFilter {
    const key = `${origin} ${room}`
    const filter = this.#filters.get(key) ?? new EchoFilter()
    this.#filters.set(key, filter)
    return filter
  }

  /** A client has lost its connection. */
  onDown (origin: string): void {
    for (const [key, filter] of this.#filters) if (key.startsWith(`${origin} `)) filter.onDown()
  }

  /** The page has ended. */
  end (): void {
    for (const end of [...this.#enders.values()]) end()
  }
}

/** The pages with a port to this worker. */
export class Pages {
  readonly #pages = new Map<string, Page>()

  /** The page that opens a connection. Its lock reports its end. */
  of (lock: Open): Page {
    const { life } = lock
    let page = this.#pages.get(life)
    if (page === undefined) {
      const opened = page = new Page()
      this.#pages.set(life, opened)
      onLifeEnd(lock, () => {
        this.#pages.delete(life)
        opened.end()
      })
    }
    return page
  }
}
