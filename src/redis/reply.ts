/** A reply of Redis that has another shape than the command promises. */
export class UnexpectedReply extends Error {
  override readonly name = 'UnexpectedReply'

  constructor (expected: string) {
    super(`Redis replied something else than ${expected}`)
  }
}

/** Reads a text; throws `UnexpectedReply`. */
export function readText (reply: unknown): string {
  if (typeof reply !== 'string') throw new UnexpectedReply('a text')
  return reply
}

/** Reads an integer; throws `UnexpectedReply`. */
export function readInteger (reply: unknown): number {
  if (typeof reply !== 'number') throw new UnexpectedReply('an integer')
  return reply
}

/** Reads bytes; throws `UnexpectedReply`. */
export function readBytes (reply: unknown): Buffer {
  if (!Buffer.isBuffer(reply)) throw new UnexpectedReply('bytes')
  return reply
}

/** Reads an array of anything; throws `UnexpectedReply`. */
export function readArray (reply: unknown): unknown[] {
  if (!Array.isArray(reply)) throw new UnexpectedReply('an array')
  return reply
}

/** Reads an array of texts; throws `UnexpectedReply`. */
export function readTexts (reply: unknown): string[] {
  return readArray(reply).map(readText)
}

/** Reads the fields of a hash; throws `UnexpectedReply`. */
export function readHash (reply: unknown): [field: string, value: unknown][] {
  if (typeof reply !== 'object' || reply === null || Array.isArray(reply)) throw new UnexpectedReply('a hash')
  return Object.entries(reply)
}
