import type { Position } from '../protocol/position.ts'
import { readArray, readBytes, readInteger, readText } from '../redis/reply.ts'
import type { HistoryPage, HistoryQuery, StoredMessage } from './broker.ts'
import { decodeKept } from './redis-envelope.ts'

/** The reply to a publish. */
export interface PublishReply {
  /** Means nothing in rooms without history. */
  position: Position
  time: number
  audience: number
  /** Whether an earlier publish with the same key got this reply. */
  remembered: boolean
}

/** Reads a reply of `PUBLISH` and `PUBLISH_UNKEPT`: a conflict with an earlier publish, or a new name that may not be remembered. */
export function readPublishReply (reply: unknown): PublishReply | 'conflict' | 'new' {
  const text = readText(reply)
  if (text === 'C') return 'conflict'
  if (text === 'N') return 'new'
  const [kind, epoch = '', offset, time, audience] = text.split(' ')
  return { position: { epoch, offset: Number(offset) }, time: Number(time), audience: Number(audience), remembered: kind === 'R' }
}

/** Reads a reply of `POSITION`. */
export function readPosition (reply: unknown): Position {
  const [epoch = '', offset] = readText(reply).split(' ')
  return { epoch, offset: Number(offset) }
}

/** Reads a reply of `HISTORY`, whose texts are bytes. */
export function readHistory (reply: unknown, { after, epoch }: HistoryQuery): HistoryPage {
  const [roomEpoch, top, first, more, ...content] = readArray(reply)
  const position = { epoch: readBytes(roomEpoch).toString(), offset: readNumber(top) }
  if (epoch !== undefined && epoch !== position.epoch) return { position, recovered: false, messages: [] }
  const messages: StoredMessage[] = []
  for (let i = 0; i < content.length; i += 2) messages.push({ offset: readNumber(content[i]), ...decodeKept(readBytes(content[i + 1])) })
  const recovered = after === undefined || (after <= position.offset && (after === position.offset || readNumber(first) <= after + 1))
  const last = messages.at(-1)?.offset
  if (after === undefined) messages.reverse()
  return { position, recovered, messages, next: readInteger(more) === 1 ? last : undefined }
}

/** Reads a number that a script returned as text, to keep all its digits. */
function readNumber (reply: unknown): number {
  return Number(readBytes(reply).toString())
}
