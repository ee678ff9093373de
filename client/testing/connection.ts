import { CLOSE_CODES, type CloseReason } from '../../src/protocol/close-codes.ts'
import type { ClientFrame, ClientFrames, FrameId, ServerFrame } from '../../src/protocol/frames.ts'
import { ALL_ROOM, isAlias, isEvent, isKey, ROOM_RULE, USER_ALIAS, userRoom } from '../../src/protocol/names.ts'
import type { Allowance } from './allowance.ts'
import type { Content } from './history.ts'
import { Refusal } from './refusal.ts'
import type { Member, Room } from './room.ts'
import type { Service } from './service.ts'

/** The time between the pings of the service, ms. */
export const HEARTBEAT_MS = 25_000
/** A time in the far future: only a test ends the tokens of the twin, ms since 1970. */
const NEVER = 32_503_680_000_000

/** The way from the service to a client. */
export interface Wire {
  send (frame: ServerFrame, bytes?: Uint8Array): void
  /** Closes the connection behind the frames that were sent. */
  close (code: number): void
}

/** A connection of a client, on the side of the service. Handles its frames in their order. */
export class Connection implements Member {
  readonly user: string
  readonly origin: string
  /** The joined rooms by their real names, in the order of the joins. */
  readonly rooms = new Map<string, Room>()
  /** The service takes no more of its frames. */
  isOver = false
  readonly #service: Service
  readonly #wire: Wire
  readonly #allowances: { messages: Allowance, control: Allowance }
  /** A publish whose binary frame is next; null for a refused one. */
  #announced: ClientFrames['publish'] | null | undefined

  constructor (service: Service, wire: Wire, { user, origin, id }: { user: string, origin: string, id: string }) {
    this.user = user
    this.origin = origin
    this.#service = service
    this.#wire = wire
    this.#allowances = service.allowances()
    service.connections.add(this)
    const rooms = [userRoom(user), ALL_ROOM].map((name) => this.#enter(service.room(name)))
    this.send({
      type: 'welcome',
      connection: id,
      origin,
      user,
      expiresAt: NEVER,
      heartbeatMs: HEARTBEAT_MS,
      rooms: rooms.map(({ label, history }) => ({ room: label, ...history.position }))
    })
  }

  /** Sends a frame to the client. */
  send (frame: ServerFrame, bytes?: Uint8Array): void {
    this.#wire.send(frame, bytes)
  }

  /** Closes the connection. */
  close (reason: CloseReason): void {
    this.#service.disconnect(this)
    this.#wire.close(CLOSE_CODES[reason])
  }

  /** Closes the connection for a graceful shutdown. It keeps its memberships: the other members get no notice. */
  shutDown (retryAfterMs: number): void {
    this.isOver = true
    this.send({ type: 'shutdown', text: 'Server restarting', retryAfterMs })
    this.#wire.close(CLOSE_CODES.goingDown)
  }

  /** Ends the membership in a room. */
  remove (room: Room): void {
    if (!this.rooms.delete(room.name)) return
    this.send({ type: 'left', room: room.label, reason: 'removed' })
    room.remove(this)
  }

  /** Takes one WebSocket message of the client. */
  receive (data: string | Uint8Array): void {
    if (this.isOver) return
    const announced = this.#announced
    this.#announced = undefined
    if (typeof data !== 'string') {
      if (announced === null) return
      if (announced !== undefined && announced.binary !== data.length) this.close('protocolError')
      else this.#handle(announced ?? { type: 'publish' }, data)
      return
    }
    if (announced !== undefined) {
      this.close('protocolError')
      return
    }
    let frame: ClientFrame
    try {
      frame = JSON.parse(data) as ClientFrame
    } catch {
      this.send(new Refusal('invalid_json', 'Invalid JSON').toFrame(undefined))
      return
    }
    this.#handle(frame, undefined)
  }

  #handle (frame: ClientFrame, bytes: Uint8Array | undefined): void {
    const id: FrameId | undefined = frame.id
    try {
      // An announced publish was admitted with its header.
      if (bytes === undefined || (frame.type === 'publish' && frame.binary === undefined)) this.#admit(frame)
      if (frame.type === 'publish' && frame.binary !== undefined && bytes === undefined) this.#announced = frame
      else this.#run(frame, bytes)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      if (frame.type === 'publish' && frame.binary !== undefined && bytes === undefined) this.#announced = null
      this.send(error.toFrame(id))
    }
  }

  #admit (frame: ClientFrame): void {
    const { messages, control } = this.#allowances
    const allowance = ['join', 'leave', 'ping'].includes(frame.type) ? control : messages
    const outcome = allowance.take()
    if (outcome === 'abused') this.close('rateLimited')
    if (outcome !== 'granted') throw new Refusal('rate_limited', 'Too many frames', allowance.retryAfterMs)
    this.#service.refuse(frame, this.user)
  }

  #run (frame: ClientFrame, bytes: Uint8Array | undefined): void {
    switch (frame.type) {
      case 'join':
        this.#join(frame)
        return
      case 'leave':
        this.#leave(frame)
        return
      case 'chat':
        this.#publish(frame, { text: frame.text })
        return
      case 'publish':
        if (bytes === undefined && !('data' in frame)) throw new Refusal('invalid_frame', 'A publish needs "data", or "binary"')
        this.#publish(frame, bytes === undefined ? { data: frame.data } : { bytes })
        return
      case 'history':
        this.#history(frame)
        return
      case 'ping':
        this.send({ type: 'pong', ...idOf(frame) })
        return
      default:
        throw new Refusal('unknown_type', 'Unknown frame type')
    }
  }

  #join (frame: ClientFrames['join']): void {
    const room = this.#room(frame.room)
    this.#service.check(this.user, 'join', room.name, frame.room)
    this.#enter(room)
    const { since } = frame
    const missed = since && room.history.missed(since, this.origin, this.#service.time)
    this.send({
      type: 'joined',
      room: room.label,
      ...room.history.position,
      audience: room.members.size,
      ...(since !== undefined && { recovered: missed !== undefined }),
      ...(missed !== undefined && { missed: missed.length }),
      ...idOf(frame)
    })
    for (const { frame, bytes } of missed ?? []) this.send(frame, bytes)
  }

  #enter (room: Room): Room {
    this.rooms.delete(room.name) // The latest joined room is the last one.
    this.rooms.set(room.name, room)
    room.add(this)
    return room
  }

  #leave (frame: ClientFrames['leave']): void {
    const room = this.#room(frame.room)
    if (!this.rooms.has(room.name)) throw new Refusal('not_joined', `Not a member of ${frame.room}`)
    if (isAlias(frame.room)) throw new Refusal('forbidden', `${frame.room} cannot be left`)
    this.rooms.delete(room.name)
    this.send({ type: 'left', room: room.label, ...idOf(frame) })
    room.remove(this)
    room.history.keep(this.#service.time)
  }

  #publish (frame: ClientFrames['publish'] | ClientFrames['chat'], content: Content): void {
    const { event, key, echo }: Partial<ClientFrames['publish']> = frame.type === 'publish' ? frame : {}
    if (event !== undefined && !isEvent(event)) throw new Refusal('invalid_frame', 'Invalid publish frame: "event"')
    if (key !== undefined && !isKey(key)) throw new Refusal('invalid_frame', 'Invalid publish frame: "key"')
    const latest = [...this.rooms.keys()].findLast((name) => !name.startsWith('@'))
    const name = frame.room ?? latest
    if (name === undefined) throw new Refusal('not_joined', 'Join a room first, or name one')
    const room = this.#room(name)
    this.#service.check(this.user, 'publish', room.name, name)
    if (!this.rooms.has(room.name)) throw new Refusal('not_joined', `Not a member of ${name}`)
    const named = event === undefined ? content : { ...content, event }
    const exclude = echo === false ? this.origin : undefined
    const { stored: { frame: { offset } }, epoch } = this.#service.publish(room.name, this.user, named, { key, exclude })
    if (frame.id !== undefined) this.send({ type: 'ack', id: frame.id, room: name, ...(offset !== undefined && { epoch, offset }) })
  }

  #history (frame: ClientFrames['history']): void {
    const room = this.#room(frame.room)
    this.#service.check(this.user, 'history', room.name, frame.room)
    const { type, id } = frame
    this.send({ type, id, room: room.label, ...room.history.position, ...room.history.page(frame, this.#service.time) })
  }

  #room (name: string): Room {
    if (name.startsWith('@') && !isAlias(name)) throw new Refusal('invalid_room', ROOM_RULE)
    return this.#service.room(name === USER_ALIAS ? userRoom(this.user) : name)
  }
}

function idOf ({ id }: { id?: FrameId | undefined }): { id?: FrameId } {
  return id === undefined ? {} : { id }
}
