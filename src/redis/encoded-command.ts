import { Command } from 'ioredis'
import type { Argument } from './request.ts'

/** Size of the memory blocks that commands are written into, one after the other, bytes. */
const SLAB_BYTES = 64 * 1024
/** Bytes of a length and its line ends, for the command and for each argument. */
const OVERHEAD_BYTES = 24

/**
 * A command encoded in one piece, with callbacks for the reply. ioredis encodes each argument separately and makes a
 * chain of promises for each reply, which costs more than the rest of a publish.
 */
export class EncodedCommand extends Command {
  readonly #bytes: Buffer

  /** @param binary whether the reply holds bytes instead of text */
  constructor (
    name: string, args: readonly Argument[], binary: boolean, onReply: (reply: unknown) => void, onError: (error: Error) => void
  ) {
    super(name, [], binary ? {} : { replyEncoding: 'utf8' })
    this.#bytes = encodeCommand(name, args)
    this.resolve = (reply) => { onReply(this.transformReply(reply)) }
    this.reject = onError
  }

  override toWritable (): Buffer {
    return this.#bytes
  }
}

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
let used = 0

/** Encodes a command as an array of bulk strings (RESP2). */
export function encodeCommand (name: string, args: readonly Argument[]): Buffer {
  let bound = name.length + OVERHEAD_BYTES * (args.length + 2)
  // Each UTF-16 unit takes up to three bytes in UTF-8.
  for (const arg of args) bound += typeof arg === 'string' ? 3 * arg.length : typeof arg === 'object' ? arg.length : 0
  if (bound > SLAB_BYTES / 4) {
    const own = Buffer.allocUnsafeSlow(bound)
    return own.subarray(0, write(own, 0, name, args))
  }
  if (used + bound > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
    used = 0
  }
  const from = used
  used = write(slab, from, name, args)
  return slab.subarray(from, used)
}

/** Writes a command at `at`; returns its end. */
function write (into: Buffer, at: number, name: string, args: readonly Argument[]): number {
  at = writeLength(into, at, 0x2a, args.length + 1) // *
  at = writeText(into, at, name)
  for (const arg of args) {
    if (typeof arg !== 'object') {
      at = writeText(into, at, String(arg))
      continue
    }
    at = writeLength(into, at, BULK, arg.length)
    at = writeLineEnd(into, at + arg.copy(into, at))
  }
  return at
}

const BULK = 0x24 // $

function writeText (into: Buffer, at: number, text: string): number {
  const { length } = text
  const start = at
  at = writeLength(into, at, BULK, length)
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) { // The length in bytes differs from the number of units.
      at = writeLength(into, start, BULK, Buffer.byteLength(text))
      return writeLineEnd(into, at + into.write(text, at))
    }
    into[at++] = code
  }
  return writeLineEnd(into, at)
}

function writeLength (into: Buffer, at: number, kind: number, length: number): number {
  into[at++] = kind
  const digits = String(length) // V8 caches the text of small integers.
  for (let i = 0; i < digits.length; i++) into[at++] = digits.charCodeAt(i)
  return writeLineEnd(into, at)
}

function writeLineEnd (into: Buffer, at: number): number {
  into[at] = 0x0d
  into[at + 1] = 0x0a
  return at + 2
}
