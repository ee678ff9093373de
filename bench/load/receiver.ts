import type { Connection } from './connection.ts'
import { OPCODE } from './frame.ts'
import { Histogram } from './histogram.ts'
import { isMarker, MARKER_BYTES, now, readMarker } from './marker.ts'

const CHUNK_BYTES = 256 * 1024
/** In front of what is read there is room for the start of a frame that came before. */
const HEADROOM_BYTES = 64 * 1024
const NS_PER_TICK = 100

/**
 * What all connections read into. It looks at the headers of frames and for markers in them, and counts: a delivery is
 * a marker, however a server wraps it, or many of them. Nothing is made per delivery, and nothing decoded but the marker.
 */
export class Receiver {
  deliveries = 0
  readonly latencies = new Histogram()
  readonly #bytes = Buffer.allocUnsafe(HEADROOM_BYTES + CHUNK_BYTES)
  /** What sockets read into. */
  readonly chunk = this.#bytes.subarray(HEADROOM_BYTES)
  readonly #textBytes: number
  readonly #onDelivery: () => void
  /** Frames of one length have the marker in one place, nearly always. */
  #hint = 0
  #hintFor = 0

  /** @param textBytes of the texts that come, to skip what is behind a marker */
  constructor (textBytes: number, onDelivery: () => void) {
    this.#textBytes = textBytes
    this.#onDelivery = onDelivery
  }

  /** Takes what a connection has just read into `chunk`. */
  read (connection: Connection, bytes: number): void {
    const { carry } = connection
    let data = this.#bytes
    let from = HEADROOM_BYTES
    let end = HEADROOM_BYTES + bytes
    if (carry.length > 0) {
      from -= carry.length
      if (from >= 0) {
        data.set(carry, from)
      } else { // A frame larger than anybody expects.
        data = Buffer.concat([carry, data.subarray(HEADROOM_BYTES, end)])
        from = 0
        end = data.length
      }
    }
    const before = this.deliveries
    const rest = this.#readFrames(connection, data, from, end)
    connection.carry = rest === end ? NOTHING : Buffer.from(data.subarray(rest, end))
    if (this.deliveries !== before) this.#onDelivery()
  }

  /** Returns where the first frame that is not complete starts. */
  #readFrames (connection: Connection, data: Buffer, from: number, end: number): number {
    const time = now()
    while (from + 2 <= end) {
      let header = 2
      let length = (data[from + 1] as number) & 127
      if (length === 126) {
        header = 4
        if (from + header > end) break
        length = data.readUInt16BE(from + 2)
      } else if (length === 127) {
        header = 10
        if (from + header > end) break
        length = Number(data.readBigUInt64BE(from + 2))
      }
      const payload = from + header
      if (payload + length > end) break
      const opcode = (data[from] as number) & 15
      from = payload + length
      if (opcode <= OPCODE.binary) {
        if (connection.counted && this.#count(data, payload, from, time)) continue
        if (!connection.expectsText) continue
      }
      connection.take(opcode, data.subarray(payload, from))
    }
    return from
  }

  /** Counts the markers of a payload; whether there is one. */
  #count (data: Buffer, from: number, end: number, time: number): boolean {
    const last = end - MARKER_BYTES
    const length = end - from
    let at = from
    if (length === this.#hintFor && from + this.#hint <= last && isMarker(data, from + this.#hint)) at += this.#hint
    let found = false
    for (; at <= last; at++) {
      if (!isMarker(data, at)) continue
      if (!found) {
        found = true
        this.#hint = at - from
        this.#hintFor = length
      }
      this.deliveries++
      this.latencies.record(Math.max(0, (time - readMarker(data, at)) / NS_PER_TICK) >>> 0)
      at += this.#textBytes - 1
    }
    return found
  }
}

const NOTHING = Buffer.alloc(0)
