import { RoomcastError, toRoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import { decodeFrame } from '../protocol/codec.ts'
import type { ClientFrame, ClientFrames, FrameId } from '../protocol/frames.ts'
import type { Identity } from '../auth/identity.ts'
import type { Memberships } from '../rooms/membership.ts'
import type { Rooms } from '../rooms/rooms.ts'
import { Allowance } from '../callers/allowance.ts'
import type { Command, CommandContext } from './command.ts'
import { COMMANDS } from './index.ts'

/** Frames that may wait or be in progress before the socket is paused. */
const MAX_WAITING = 64
/** Texts in a row without a JSON object until the connection is closed. */
const MAX_MALFORMED = 10
/** Joins and pings allowed for each message: a client that reconnects joins all its rooms at once. */
const CONTROL_FACTOR = 10

/** The socket that frames are read from. */
export interface Source {
  pause (): void
  resume (): void
}

export interface InboxOptions {
  connection: Connection
  identity: Identity
  rooms: Rooms
  memberships: Memberships
  source: Source
  /** Messages a second; 0 is no limit. */
  messageRate: number
  messageBurst: number
  /** Receives internal errors. */
  onError: (error: unknown) => void
}

/** A frame, and the payload of a binary message. */
interface Item {
  frame: ClientFrame
  bytes: Buffer | undefined
}

/** A publish whose binary frame is next. A refused publish has no frame: its payload is dropped. */
interface Announced {
  frame: ClientFrames['publish'] | undefined
}

/**
 * The frames of one client, handled in the order of their arrival. A frame that holds makes the frames behind it
 * wait; while too many wait, the socket is paused.
 */
export class Inbox implements CommandContext {
  readonly connection: Connection
  readonly identity: Identity
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly #source: Source
  readonly #onError: (error: unknown) => void
  readonly #allowances: Record<Command<never>['allowance'], Allowance>
  readonly #waiting: Item[] = []
  /** Frames in progress that hold no other frame. */
  #inProgress = 0
  #held = false
  #paused = false
  #announced: Announced | undefined
  #malformed = 0

  constructor (options: InboxOptions) {
    this.connection = options.connection
    this.identity = options.identity
    this.rooms = options.rooms
    this.memberships = options.memberships
    this.#source = options.source
    this.#onError = options.onError
    this.#allowances = {
      messages: new Allowance(options.messageRate, options.messageBurst),
      control: new Allowance(options.messageRate * CONTROL_FACTOR, options.messageBurst * CONTROL_FACTOR)
    }
  }

  /** Takes one WebSocket message. Never throws. */
  receive (data: Buffer, isBinary: boolean): void {
    if (this.connection.ended) return
    this.connection.wasUnfinished = false
    if (this.#announced !== undefined) this.#receivePayload(this.#announced, data, isBinary)
    else if (isBinary) this.#receiveBinary(data)
    else this.#receiveText(data.toString())
  }

  /** Receives a ping or a pong of WebSocket, which is charged like a `ping` frame. */
  heartbeat (): void {
    if (this.#allowances.control.take() === 'abused') this.connection.close('rateLimited')
  }

  /** Holds later frames until some work is done; sends an `error` frame if the work fails. */
  hold (work: Promise<void>, id?: FrameId): void {
    this.#held = true
    const release = () => {
      this.#held = false
      this.#proceed()
    }
    work.then(release, (error: unknown) => {
      this.#fail(error, id)
      release()
    })
  }

  #receiveText (json: string): void {
    const decoded = decodeFrame(json)
    if (!decoded.ok) {
      if (decoded.announcesBinary) this.#announced = { frame: undefined }
      if (!this.#allow('messages', decoded.id)) return
      this.connection.sendError({ code: decoded.code, message: decoded.text, retryAfterMs: undefined }, decoded.id)
      this.#malformed = decoded.malformed ? this.#malformed + 1 : 0
      if (this.#malformed >= MAX_MALFORMED) this.connection.close('protocolError')
      return
    }
    const { frame } = decoded
    this.#malformed = 0
    const allowed = this.#allow(COMMANDS[frame.type].allowance, frame.id)
    if (frame.type === 'publish' && frame.binary !== undefined) this.#announced = { frame: allowed ? frame : undefined }
    else if (allowed) this.#take({ frame, bytes: undefined })
  }

  #receiveBinary (bytes: Buffer): void {
    this.#malformed = 0
    if (this.#allow('messages', undefined)) this.#take({ frame: { type: 'publish' }, bytes })
  }

  #receivePayload ({ frame }: Announced, bytes: Buffer, isBinary: boolean): void {
    this.#announced = undefined
    if (!isBinary || (frame !== undefined && bytes.length !== frame.binary)) this.connection.close('protocolError')
    else if (frame !== undefined) this.#take({ frame, bytes })
  }

  #allow (kind: Command<never>['allowance'], id: FrameId | undefined): boolean {
    const allowance = this.#allowances[kind]
    const outcome = allowance.take()
    if (outcome === 'granted') return true
    if (outcome === 'abused') this.connection.close('rateLimited')
    else this.connection.sendError({ code: 'rate_limited', message: 'Too many frames', retryAfterMs: allowance.retryAfterMs }, id)
    return false
  }

  #take (item: Item): void {
    if (this.#held) this.#waiting.push(item)
    else this.#handle(item)
    if (!this.#paused && this.#waiting.length + this.#inProgress >= MAX_WAITING) {
      this.#paused = true
      this.#source.pause()
    }
  }

  #handle ({ frame, bytes }: Item): void {
    const command = COMMANDS[frame.type] as Command<ClientFrame>
    const work = command.handle(this, frame, bytes)
    if (command.holds) {
      this.hold(work, frame.id)
      return
    }
    this.#inProgress++
    work.then(this.#onDone, (error: unknown) => {
      this.#fail(error, frame.id)
      this.#onDone()
    })
  }

  readonly #onDone = (): void => {
    this.#inProgress--
    this.#resume()
  }

  #proceed (): void {
    while (!this.#held && this.#waiting.length > 0 && !this.connection.ended) this.#handle(this.#waiting.shift() as Item)
    this.#resume()
  }

  #resume (): void {
    if (!this.#paused || this.#waiting.length + this.#inProgress > MAX_WAITING / 2) return
    this.#paused = false
    this.#source.resume()
  }

  #fail (error: unknown, id: FrameId | undefined): void {
    if (!(error instanceof RoomcastError)) this.#onError(error)
    this.connection.sendError(toRoomcastError(error), id)
  }
}
