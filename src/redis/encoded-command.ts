import { Command } from 'ioredis'
import type { Argument } from './request.ts'

/** Commands are written one behind the other into pieces of memory of this size, bytes. */
const SLAB_BYTES = 64 * 1024
/** What a command takes besides its arguments' own bytes, for each of them and for itself: a length and line ends. */
const OVERHEAD_BYTES = 24

/**
 * A command as it goes over the wire, made in one piece, whose reply goes straight to who asked. ioredis makes each
 * argument by itself and a chain of promises for each reply, which costs more than everything else about a publish.
 */
export class EncodedCommand extends Command {
  readonly #bytes: Buffer

  /** @param binary whether strings in the reply are to be bytes */
  constructor (name: string, args: readonly Argument[], binary: boolean, onReply: (reply: unknown) => void, onError: (error: Error) => void) {
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

/** An array of bulk strings (RESP2). */
export function encodeCommand (name: string, args: readonly Argument[]): Buffer {
  let bound = name.length + OVERHEAD_BYTES * (args.length + 2)
  // A character takes up to three bytes in UTF-8, for each of its UTF-16 units.
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

/** Writes a command at `at`; returns where it ends. */
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
    if (code > 0x7f) { // Its length in bytes is another one.
      at = writeLength(into, start, BULK, Buffer.byteLength(text))
      return writeLineEnd(into, at + into.write(text, at))
    }
    into[at++] = code
  }
  return writeLineEnd(into, at)
}

function writeLength (into: Buffer, at: number, kind: number, length: number): number {
  into[at++] = kind
  const digits = String(length) // Small integers: V8 has them at hand.
  for (let i = 0; i < digits.length; i++) into[at++] = digits.charCodeAt(i)
  return writeLineEnd(into, at)
}

function writeLineEnd (into: Buffer, at: number): number {
  into[at] = 0x0d
  into[at + 1] = 0x0a
  return at + 2
}
