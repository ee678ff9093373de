import { MARKER, writeMarker } from './marker.ts'

/** Opcodes (RFC 6455, section 5.2). */
export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** Clients have to mask; with what is theirs to choose. */
const MASK = Buffer.from([1, 2, 3, 4])

/** A client's frame. */
export function encodeFrame (opcode: number, payload: string | Buffer): Buffer {
  const body = Buffer.from(payload as string)
  const extended = Buffer.alloc(body.length < 126 ? 0 : body.length < 65_536 ? 2 : 8)
  if (extended.length === 2) extended.writeUInt16BE(body.length)
  if (extended.length === 8) extended.writeBigUInt64BE(BigInt(body.length))
  const short = extended.length === 0 ? body.length : extended.length === 2 ? 126 : 127
  for (let i = 0; i < body.length; i++) body[i] = (body[i] as number) ^ (MASK[i & 3] as number)
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | short]), extended, MASK, body])
}

/** A frame, or an HTTP request, that publishes: made once, and sent again and again with another time in it. */
export class Publication {
  readonly #bytes: Buffer
  readonly #markers: number[] = []
  readonly #payloadAt: number
  readonly #mask: Buffer | undefined

  private constructor (bytes: Buffer, payload: Buffer, mask?: Buffer) {
    this.#bytes = bytes
    this.#payloadAt = bytes.length - payload.length
    this.#mask = mask
    const blank = `${MARKER}${'0'.repeat(16)}`
    for (let at = payload.indexOf(blank); at !== -1; at = payload.indexOf(blank, at + 1)) this.#markers.push(this.#payloadAt + at)
  }

  static frame (opcode: number, payload: string): Publication {
    return new Publication(encodeFrame(opcode, payload), Buffer.from(payload), MASK)
  }

  static request (request: string): Publication {
    return new Publication(Buffer.from(request), Buffer.from(request))
  }

  /** The bytes to send at a time, ns: a copy, since a socket may keep them. */
  at (time: number): Buffer {
    for (const at of this.#markers) writeMarker(this.#bytes, at, time, this.#mask, this.#payloadAt)
    return Buffer.from(this.#bytes)
  }
}
