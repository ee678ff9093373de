import { Connection, type ConnectionOptions } from '../../src/hub/connection.ts'
import type { Hub } from '../../src/hub/hub.ts'
import type { Room } from '../../src/hub/room.ts'
import type { Membership } from '../../src/hub/members.ts'
import type { CloseReason } from '../../src/protocol/close-codes.ts'
import type { MessageEnvelope, NoticeEnvelope } from '../../src/protocol/envelope.ts'
import type { Batch } from '../../src/transport/batch.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { PING, textFrame } from '../../src/transport/websocket-frame.ts'

/** A WebSocket frame of a server: not masked, not fragmented. */
export interface WireFrame {
  opcode: number
  payload: Buffer
}

/** Takes chunks apart by RFC 6455, section 5.2; throws where they are not whole frames of a server. */
export function parseWire (bytes: Buffer): WireFrame[] {
  const frames: WireFrame[] = []
  let at = 0
  while (at < bytes.length) {
    const first = bytes.readUInt8(at)
    const second = bytes.readUInt8(at + 1)
    if ((first & 0xf0) !== 0x80) throw new Error('not a whole frame without extensions')
    if ((second & 0x80) !== 0) throw new Error('a server does not mask')
    at += 2
    let length = second
    if (second === 126) {
      length = bytes.readUInt16BE(at)
      at += 2
      if (length < 126) throw new Error('the length is not written in the shortest way')
    } else if (second === 127) {
      length = Number(bytes.readBigUInt64BE(at))
      at += 8
      if (length < 65_536) throw new Error('the length is not written in the shortest way')
    }
    if (at + length > bytes.length) throw new Error('the frame is cut off')
    frames.push({ opcode: first & 0x0f, payload: bytes.subarray(at, at += length) })
  }
  return frames
}

/** Hands an envelope to the room it is for, if the hub has it. */
export function deliver (hub: Hub, envelope: MessageEnvelope | NoticeEnvelope): void {
  hub.room(envelope.room)?.deliver(envelope)
}

/** A transport that keeps what is written to it. */
export class RecordingTransport implements Transport {
  readonly kind = 'websocket'
  open = true
  queued = 0
  unfinished = false
  answers = true
  terminated = false
  closedFor: CloseReason | undefined
  readonly chunks: Buffer[] = []

  write (batch: Batch): void {
    this.#take(batch.websocket)
  }

  skipTo (): void {}

  send (_type: string, json: string): void {
    this.#take(textFrame(json))
  }

  ping (): void {
    this.#take(PING)
  }

  #take (chunk: Buffer): void {
    if (this.open) this.chunks.push(chunk)
  }

  async drained (): Promise<void> {}

  close (reason: CloseReason): void {
    this.open = false
    this.closedFor = reason
  }

  terminate (): void {
    this.open = false
    this.terminated = true
  }

  /** What was written, as frames. */
  get frames (): WireFrame[] {
    return this.chunks.flatMap(parseWire)
  }

  /** What was written in text frames, as JSON. */
  get json (): Record<string, unknown>[] {
    return this.frames.filter(({ opcode }) => opcode === 1).map(({ payload }) => JSON.parse(payload.toString()) as Record<string, unknown>)
  }

  /** In one word for each: a message is its text, everything else its type. */
  get words (): unknown[] {
    return this.json.map(({ type, text }) => type === 'message' ? text : type)
  }
}

let made = 0

/** A connection over a recording transport. When it ends, it leaves its rooms. */
export function connectTo (transport: RecordingTransport, options: Partial<ConnectionOptions> = {}): Connection {
  const id = `connection-${++made}`
  return new Connection({
    id,
    origin: id,
    user: 'ada',
    expiresAt: Infinity,
    transport,
    maxQueueBytes: 0,
    onEnd: (connection) => { for (const membership of [...connection.memberships.values()]) membership.room.remove(membership) },
    ...options
  })
}

/** A member of a room, and what it got. */
export interface Member {
  transport: RecordingTransport
  connection: Connection
  membership: Membership
}

/** Adds a connection of its own to a room in which nothing is waiting. */
export function join (room: Room, options: Partial<ConnectionOptions> = {}): Member {
  const transport = new RecordingTransport()
  const connection = connectTo(transport, options)
  return { transport, connection, membership: room.add(connection, 0) }
}

/** A message on its way to a room. Its text is its offset, unless one is given. */
export function message (
  room: string,
  offset: number | undefined,
  more: Partial<MessageEnvelope> & { text?: string } = {}
): MessageEnvelope {
  const { text = String(offset), ...rest } = more
  return {
    kind: 'message',
    room,
    position: offset === undefined ? undefined : { epoch: 'e', offset },
    time: 1,
    fields: Buffer.from(`"from":"bob","text":${JSON.stringify(text)}`),
    ...rest
  }
}

export function notice (room: string, type: string, exceptUser?: string): NoticeEnvelope {
  return { kind: 'notice', room, frame: JSON.stringify({ type }), exceptUser }
}
