import { Connection } from './connection.ts'
import type { LoadOptions, Step } from './options.ts'
import type { Receiver } from './receiver.ts'
import { makeText } from './marker.ts'
import { makeToken } from './token.ts'

/** Connections that are being opened at once: less than servers let wait. */
const OPENING = 64
/** A source address has some 28,000 ports for one destination. */
const PER_ADDRESS = 20_000

/** The name of a room. */
export function roomName (index: number): string {
  return `r${index}`
}

/** Puts what belongs to a connection and a room into a template. */
export function fillTemplate (
  template: string,
  { room, user, secret, textBytes }: { room: string, user: string, secret: string, textBytes: number }
): string {
  return template.replace(/%[RKIST]/g, (name) => {
    switch (name) {
      case '%R': return room
      case '%K': return makeToken(user, secret)
      case '%I': return user
      case '%S': return String(textBytes)
      default: return makeText(textBytes)
    }
  })
}

/** The connections of a load. */
export class Members {
  readonly connections: Connection[] = []
  /** Connections that ended after everybody was in. */
  ended = 0
  readonly #options: LoadOptions
  readonly #receiver: Receiver

  constructor (options: LoadOptions, receiver: Receiver) {
    this.#options = options
    this.#receiver = receiver
  }

  /** Resolves when all are in their rooms; rejects if one cannot be. */
  async open (): Promise<void> {
    const { members, port, publishPort, rooms = 1 } = this.#options
    await this.#openMany(members, port, true)
    if (publishPort !== undefined) await this.#openMany(rooms, publishPort, false)
  }

  /** The one that publishes to a room by frames. */
  publisherIn (room: number): Connection {
    const { members, publishPort } = this.#options
    return this.connections[publishPort === undefined ? room : members + room] as Connection
  }

  close (): void {
    for (const connection of this.connections) connection.reset()
  }

  async #openMany (count: number, port: number, counted: boolean): Promise<void> {
    const { members, source = 0 } = this.#options
    let started = 0
    let joined = 0
    let open = false
    if (count === 0) return
    await new Promise<void>((resolve, reject) => {
      const startNext = (): void => {
        if (started === count) return
        const index = started++
        const steps = this.#steps(index)
        this.connections.push(new Connection({
          protocol: this.#options.protocol,
          port,
          receiver: this.#receiver,
          counted,
          fill: (template) => this.#fill(template, index),
          steps,
          localAddress: members > PER_ADDRESS ? `127.${1 + source % 250}.0.${1 + Math.floor(index / PER_ADDRESS)}` : undefined,
          onJoined: () => {
            if (++joined === count) {
              open = true
              resolve()
            } else {
              startNext()
            }
          },
          onEnd: (why) => {
            if (open) this.ended++
            else reject(new Error(`connection ${index}, with ${joined} of ${count} joined: ${why}`))
          }
        }))
      }
      for (let i = 0; i < OPENING; i++) startNext()
    })
  }

  #steps (index: number): Step[] {
    const { protocol: { open = [], join }, rooms = 1, everywhere = false } = this.#options
    const own = everywhere ? Array.from({ length: rooms }, (_, room) => room) : [index % rooms]
    return [
      ...open,
      ...(join === undefined
        ? []
        : own.map((room) => ({ send: this.#fill(join.send, index, room), until: this.#fill(join.until, index, room) })))
    ]
  }

  #fill (template: string, index: number, room = index % (this.#options.rooms ?? 1)): string {
    const { secret, users = false, textBytes = 64 } = this.#options
    return fillTemplate(template, { room: roomName(room), user: users ? `user-${index}` : 'user', secret, textBytes })
  }
}
