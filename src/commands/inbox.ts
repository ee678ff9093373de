import { type ErrorCode, ERRORS, RoomcastError, toRoomcastError } from '../errors.ts'
import type { Connection } from '../hub/connection.ts'
import { decodeFrame } from '../protocol/codec.ts'
import type { ClientFrame, ClientFrames, FrameId } from '../protocol/frames.ts'
import type { Identity } from '../rooms/identity.ts'
import type { Rooms } from '../rooms/rooms.ts'
import { Allowance } from './allowance.ts'
import type { Command, CommandContext } from './command.ts'
import { COMMANDS } from './index.ts'

/** Frames that may wait or be under way before no more are read from the socket. */
const MAX_WAITING = 64
/** This many texts in a row that are not JSON objects end the connection. */
const MAX_MALFORMED = 10
/** Joins and pings may come this much more often than messages: a client that comes back joins all its rooms at once. */
const CONTROL_FACTOR = 10

/** Where frames come from. */
export interface Source {
  pause (): void
  resume (): void
}

export interface InboxOptions {
  connection: Connection
  identity: Identity
  rooms: Rooms
  source: Source
  /** Messages a second; 0 is no limit. */
  messageRate: number
  messageBurst: number
  /** Told what is our fault. */
  onError: (error: unknown) => void
}

/** A frame, and the payload of a binary message. */
interface Item {
  frame: ClientFrame
  bytes: Buffer | undefined
}

/** A publish whose binary frame comes next. A refused one has no frame: its payload is thrown away. */
interface Announced {
  frame: ClientFrames['publish'] | undefined
}

/**
 * What one client sends, handled in the order in which it arrives. A frame that holds makes the ones behind it
 * wait; when too many wait, the socket is not read.
 */
export class Inbox implements CommandContext {
  readonly connection: Connection
  readonly identity: Identity
  readonly rooms: Rooms
  readonly #source: Source
  readonly #onError: (error: unknown) => void
  readonly #allowances: Record<Command<never>['allowance'], Allowance>
  readonly #waiting: Item[] = []
  /** Frames under way that hold nothing up. */
  #underWay = 0
  #held = false
  #paused = false
  #announced: Announced | undefined
  #malformed = 0

  constructor (options: InboxOptions) {
    this.connection = options.connection
    this.identity = options.identity
    this.rooms = options.rooms
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

  /** Takes a ping or a pong of the protocol, which draw on the same allowance as ours. */
  sign (): void {
    if (this.#allowances.control.take() === 'abused') this.connection.close('rateLimited')
  }

  /** Lets nothing through until the work is done; its failure is told to the client. */
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

  /** A refusal that the client is told of. */
  refuse (code: ErrorCode, text: string, id: FrameId | undefined, retryAfterMs?: number): void {
    this.connection.send({ type: 'error', code, text, retryable: ERRORS[code].retryable, retryAfterMs, id })
  }

  #receiveText (json: string): void {
    const decoded = decodeFrame(json)
    if (!decoded.ok) {
      if (decoded.announcesBinary) this.#announced = { frame: undefined }
      if (!this.#allow('messages', decoded.id)) return
      this.refuse(decoded.code, decoded.text, decoded.id)
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
    else this.refuse('rate_limited', 'Too many frames', id, allowance.retryAfterMs)
    return false
  }

  #take (item: Item): void {
    if (this.#held) this.#waiting.push(item)
    else this.#handle(item)
    if (!this.#paused && this.#waiting.length + this.#underWay >= MAX_WAITING) {
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
    this.#underWay++
    work.then(this.#onDone, (error: unknown) => {
      this.#fail(error, frame.id)
      this.#onDone()
    })
  }

  readonly #onDone = (): void => {
    this.#underWay--
    this.#resume()
  }

  #proceed (): void {
    while (!this.#held && this.#waiting.length > 0 && !this.connection.ended) this.#handle(this.#waiting.shift() as Item)
    this.#resume()
  }

  #resume (): void {
    if (!this.#paused || this.#waiting.length + this.#underWay > MAX_WAITING / 2) return
    this.#paused = false
    this.#source.resume()
  }

  #fail (error: unknown, id: FrameId | undefined): void {
    if (!(error instanceof RoomcastError)) this.#onError(error)
    const { code, message, retryAfterMs } = toRoomcastError(error)
    this.refuse(code, message, id, retryAfterMs)
  }
}
