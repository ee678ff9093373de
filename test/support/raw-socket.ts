import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Service } from './service.ts'
import { makeToken } from './token.ts'
import type { Frame } from './websocket-client.ts'
import { assertServerFrame } from './server-frames.ts'

/** Opcodes of WebSocket frames (RFC 6455, section 5.2). */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** A frame as it goes over the wire; what is left out is as a client should have it. */
export interface WireFrame {
  opcode: number
  payload?: Buffer | string
  fin?: boolean
  /** The three reserved bits. */
  rsv?: number
  masked?: boolean
  /** The length that the header declares, if it is not the payload's. */
  declared?: number | bigint
}

/** The bytes of a frame. */
export function encodeWire ({ opcode, payload = '', fin = true, rsv = 0, masked = true, declared }: WireFrame): Buffer {
  const body = Buffer.from(payload as string)
  const length = BigInt(declared ?? body.length)
  const extended = Buffer.alloc(length < 126n ? 0 : length < 65_536n ? 2 : 8)
  if (extended.length === 2) extended.writeUInt16BE(Number(length))
  if (extended.length === 8) extended.writeBigUInt64BE(length)
  const short = extended.length === 0 ? Number(length) : extended.length === 2 ? 126 : 127
  const mask = masked ? randomBytes(4) : Buffer.alloc(0)
  if (masked) for (let i = 0; i < body.length; i++) body[i] = (body[i] as number) ^ (mask[i % 4] as number)
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | rsv << 4 | opcode, (masked ? 0x80 : 0) | short]), extended, mask, body])
}

/** The bytes of a close frame's payload. */
export function closePayload (code: number, reason: string | Buffer = ''): Buffer {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return Buffer.concat([head, Buffer.from(reason as string)])
}

/** A JSON frame as bytes. */
export function jsonWire (frame: object): Buffer {
  return encodeWire({ opcode: OPCODE.text, payload: JSON.stringify(frame) })
}

export interface RawOptions {
  token?: string
  query?: string
  /** Sent in one write with the request, before the server has answered. */
  early?: Buffer
}

/**
 * A WebSocket over plain TCP: it sends any bytes, right or wrong, and does nothing by itself. It answers no ping and
 * no close frame, and never ends the TCP connection.
 */
export class RawSocket {
  readonly socket: Socket
  /** Every frame received. */
  readonly received: { opcode: number, payload: Buffer }[] = []
  /** Resolves with the code and reason of the server's close frame; undefined if the connection ended without. */
  readonly closeFrame: Promise<{ code: number, reason: string } | undefined>
  /** Resolves when the server has ended its side of the TCP connection, or all of it is gone. */
  readonly ended: Promise<void>
  #over = false
  #unread = Buffer.alloc(0)
  #onFrame: (() => void)[] = []
  #resolveClose: (frame: { code: number, reason: string } | undefined) => void = () => {}

  private constructor (socket: Socket) {
    this.socket = socket
    this.closeFrame = new Promise((resolve) => { this.#resolveClose = resolve })
    this.ended = new Promise((resolve) => {
      const end = () => {
        this.#over = true
        this.#resolveClose(undefined)
        this.#wake()
        resolve()
      }
      socket.once('end', end).once('close', end)
    })
    socket.unref() // A test that fails leaves it open.
    socket.on('error', () => {}) // A reset is an end like any other.
    socket.setNoDelay()
  }

  /** Connects and upgrades, as `ada` unless told otherwise. */
  static async open (
    service: Pick<Service, 'port'>,
    { token = makeToken(), query = '', early = Buffer.alloc(0) }: RawOptions = {}
  ): Promise<RawSocket> {
    const socket = connect({ port: service.port, host: '127.0.0.1', allowHalfOpen: true })
    const raw = new RawSocket(socket)
    await once(socket, 'connect')
    socket.write(
      Buffer.concat([
        Buffer.from(
          `GET /ws?token=${token}&${query} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
            `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`
        ),
        early
      ])
    )
    await new Promise<void>((resolve, reject) => {
      let head = Buffer.alloc(0)
      const onHead = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) return
        socket.removeListener('data', onHead)
        if (!head.toString('latin1').startsWith('HTTP/1.1 101 ')) reject(new Error(`refused: ${head.toString('latin1').slice(0, 200)}`))
        else resolve()
        socket.on('data', (next: Buffer) => { raw.#read(next) })
        raw.#read(head.subarray(end + 4))
      }
      socket.on('data', onHead)
      socket.once('close', () => { reject(new Error('the connection ended')) })
    })
    return raw
  }

  /** Sends bytes as they are. */
  write (bytes: Buffer): void {
    this.socket.write(bytes)
  }

  send (frame: WireFrame): void {
    this.write(encodeWire(frame))
  }

  sendJson (frame: object): void {
    this.write(jsonWire(frame))
  }

  /** Resolves with the first JSON frame, of all received and yet to come, that a function wants. */
  async find (wanted: (frame: Frame) => boolean): Promise<Frame> {
    for (let at = 0; ; at++) {
      const { opcode, payload } = await this.#at(at)
      if (opcode !== OPCODE.text) continue
      const frame = JSON.parse(payload.toString()) as Frame
      if (wanted(frame)) return frame
    }
  }

  /** Resolves when the server has answered a ping: it has handled everything sent before. */
  async settle (): Promise<void> {
    const id = `settle-${randomBytes(8).toString('hex')}`
    this.sendJson({ type: 'ping', id })
    await this.find((frame) => frame.id === id)
  }

  async #at (index: number): Promise<{ opcode: number, payload: Buffer }> {
    while (this.received.length <= index) {
      if (this.#over) throw new Error('the connection ended')
      await new Promise<void>((resolve) => { this.#onFrame.push(resolve) })
    }
    return this.received[index] as { opcode: number, payload: Buffer }
  }

  #read (chunk: Buffer): void {
    let data = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    while (data.length >= 2) {
      const [first, second] = data as unknown as [number, number]
      const header = second < 126 ? 2 : second === 126 ? 4 : 10
      if (data.length < header) break
      const length = second < 126 ? second : second === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2))
      if (data.length < header + length) break
      const payload = Buffer.from(data.subarray(header, header + length))
      data = data.subarray(header + length)
      const opcode = first & 0x0f
      if (opcode === OPCODE.text) assertServerFrame(JSON.parse(payload.toString()))
      if (opcode === OPCODE.close) {
        this.#resolveClose({ code: payload.length === 0 ? 1005 : payload.readUInt16BE(), reason: payload.subarray(2).toString() })
      }
      this.received.push({ opcode, payload })
    }
    this.#unread = Buffer.from(data)
    this.#wake()
  }

  #wake (): void {
    for (const resolve of this.#onFrame.splice(0)) resolve()
  }
}
