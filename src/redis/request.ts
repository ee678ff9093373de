import { ReplyError } from 'ioredis'

/** Time to carry out a request, ms. When Redis has been away for as long, new requests fail at once. */
export const COMMAND_TIMEOUT_MS = 2_000

export type Argument = string | Buffer | number

/**
 * Whether a command may be sent again although Redis may have carried it out:
 *
 * - `always`: to carry it out twice has the same effect as once.
 * - `same run`: the server remembers that it carried the command out; a server with another run ID does not.
 * - `never`: each time has another effect, such as the one of `PUBLISH`.
 */
export type Repeatable = 'always' | 'same run' | 'never'

/** The commands that are always repeatable: they read, or write a state. All other commands are carried out at most once. */
const REPEATABLE_COMMANDS = new Set([
  'del', 'hdel', 'hgetall', 'hkeys', 'hset', 'pexpire', 'sadd', 'smembers', 'srem', 'zadd', 'zrange', 'zrem'
])

/** Tells whether a command may be sent again. A script tells it itself. */
export function repeatabilityOf (command: string): Repeatable {
  return REPEATABLE_COMMANDS.has(command) ? 'always' : 'never'
}

/** One command for a server, until it is settled. It outlives the connection that it was sent over. */
export interface Request {
  /** Ascends with the calls. A request that is sent again keeps its place. */
  readonly order: number
  readonly command: string
  readonly args: Argument[]
  /** Index in `args` of the server's run ID, which is filled in when the request is sent; -1 for none. */
  readonly runIdAt: number
  /** The slot of its key; 0 if there is only one server. */
  readonly slot: number
  /** Whether the reply holds bytes instead of text. */
  readonly binary: boolean
  readonly repeatable: Repeatable
  /** The run ID of the server that it was last sent to; empty until then. */
  sentTo: string
  /** Whether Redis may have carried it out although no reply came. */
  uncertain: boolean
  /** Instant at which it fails, ms since 1970. */
  readonly deadline: number
  readonly bytes: number
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: Error) => void
}

/** The failure of a request. */
export class RequestFailed extends Error {
  override readonly name = 'RequestFailed'
  /** Whether Redis may have carried it out all the same. */
  readonly uncertain: boolean

  constructor (uncertain: boolean, cause?: Error) {
    super(cause?.message ?? (uncertain ? 'Redis did not answer' : 'Redis cannot be reached'), { cause })
    this.uncertain = uncertain
  }
}

/** Codes of error replies for commands that this server cannot carry out now. */
const REFUSALS = new Set(['MOVED', 'ASK', 'TRYAGAIN', 'CLUSTERDOWN', 'MASTERDOWN', 'READONLY', 'LOADING', 'NOREPLICAS', 'BUSY'])

/** Codes of error replies for commands that fail until an operator acts. */
const REJECTIONS = new Set(['OOM', 'MISCONF', 'NOPERM', 'NOAUTH'])

/** Tells the consequence of an error for the request that got it. */
export function meaningOf (error: Error): 'lost' | 'unsent' | 'noscript' | 'refused' | 'rejected' | 'failed' {
  if (!(error instanceof ReplyError)) return error.message.startsWith('Stream isn\'t writeable') ? 'unsent' : 'lost'
  const code = codeOf(error)
  if (code === 'NOSCRIPT') return 'noscript'
  if (REFUSALS.has(code)) return 'refused'
  return REJECTIONS.has(code) ? 'rejected' : 'failed'
}

/** The first word of an error reply. */
export function codeOf (error: Error): string {
  return error.message.split(' ', 1)[0] ?? ''
}
