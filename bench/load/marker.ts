/** A text that is published starts with these, and 16 hexadecimal digits: when it was sent, ns since the generator started. */
export const MARKER = '@@'
export const MARKER_BYTES = 18

const AT = 0x40
const DIGITS = Buffer.from('0123456789abcdef')
const VALUES = new Uint8Array(256)
DIGITS.forEach((digit, value) => { VALUES[digit] = value })

/** Now, ns since the generator started. */
export function now (): number {
  return performance.now() * 1e6
}

/** Whether a marker starts here. */
export function isMarker (bytes: Buffer, at: number): boolean {
  return bytes[at] === AT && bytes[at + 1] === AT
}

/** The time of the marker that starts here. */
export function readMarker (bytes: Buffer, at: number): number {
  let high = 0
  let low = 0
  for (let i = 2; i < 10; i++) high = high << 4 | (VALUES[bytes[at + i] as number] as number)
  for (let i = 10; i < 18; i++) low = low << 4 | (VALUES[bytes[at + i] as number] as number)
  return (high >>> 0) * 2 ** 32 + (low >>> 0)
}

/** Writes the digits of a marker over those that are there, masked as a client's frame is: `mask` belongs to byte `first`. */
export function writeMarker (bytes: Buffer, at: number, time: number, mask: Buffer | undefined, first: number): void {
  const high = Math.floor(time / 2 ** 32)
  const low = time >>> 0
  for (let i = 0; i < 16; i++) {
    const digit = DIGITS[(i < 8 ? high >>> 28 - i * 4 : low >>> 60 - i * 4) & 15] as number
    const to = at + 2 + i
    bytes[to] = mask === undefined ? digit : digit ^ (mask[(to - first) & 3] as number)
  }
}

/** A text of so many bytes, with a marker whose time is yet to be written. */
export function makeText (bytes: number): string {
  return `${MARKER}${'0'.repeat(16)}${'abcdefghijklmnopqrstuvwxyz'.repeat(Math.ceil(bytes / 26)).slice(0, bytes - MARKER_BYTES)}`
}
