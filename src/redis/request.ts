import { createHash } from 'node:crypto'
import { ReplyError } from 'ioredis'

export type Argument = string | Buffer | number

/** What is asked of a server, until it is settled: it survives the connection it was sent over. */
export interface Request {
  /** In the order of the calls; what is sent again keeps its place. */
  readonly order: number
  readonly command: string
  readonly args: Argument[]
  /** Where in `args` the run of the server belongs, which is known when it is sent; -1 for nowhere. */
  readonly runIdAt: number
  /** Of the key it is about; 0 where there is one server. */
  readonly slot: number
  /** Whether the reply is to be bytes. */
  readonly binary: boolean
  /** It may have been carried out although no reply came. */
  uncertain: boolean
  /** Until when it is tried, ms since 1970. */
  readonly deadline: number
  readonly bytes: number
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: Error) => void
}

/** A script, loaded on every connection before it is used. `sha` names it. */
export interface Script {
  lua: string
  sha: string
}

export function script (lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}

/** A request that came to no good end. */
export class RequestFailed extends Error {
  override readonly name = 'RequestFailed'
  /** Whether it may have been carried out all the same. */
  readonly uncertain: boolean

  constructor (uncertain: boolean, cause?: Error) {
    super(cause?.message ?? (uncertain ? 'Redis did not answer' : 'Redis cannot be reached'), { cause })
    this.uncertain = uncertain
  }
}

/** Replies that say: not carried out, here and now. */
const REFUSALS = new Set(['MOVED', 'ASK', 'TRYAGAIN', 'CLUSTERDOWN', 'MASTERDOWN', 'READONLY', 'LOADING', 'NOREPLICAS', 'BUSY'])

/** Replies that say: not carried out, and trying again soon is no use. */
const REJECTIONS = new Set(['OOM', 'MISCONF', 'NOPERM', 'NOAUTH'])

/** What a rejected command means for its request. */
export function meaningOf (error: Error): 'lost' | 'unsent' | 'noscript' | 'refused' | 'rejected' | 'failed' {
  if (!(error instanceof ReplyError)) return error.message.startsWith('Stream isn\'t writeable') ? 'unsent' : 'lost'
  const code = codeOf(error)
  if (code === 'NOSCRIPT') return 'noscript'
  if (REFUSALS.has(code)) return 'refused'
  return REJECTIONS.has(code) ? 'rejected' : 'failed'
}

/** The first word of an error reply. */
export function codeOf (error: Error): string {
  return error.message.split(' ', 1)[0] as string
}
