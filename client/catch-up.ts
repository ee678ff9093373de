import type { ServerFrames } from '../src/protocol/frames.ts'
import type { HistoryOptions, MessageFrame } from './message.ts'
import type { Position } from './position.ts'

/** The maximum of missed messages that a client reads. */
const MAX_MISSED = 10_000

/**
 * Reads the messages of a room between two positions, page by page: the service sends one page of missed messages at most.
 *
 * @param known messages that were read before, which the result begins with
 * @param isCurrent whether the messages are still needed
 * @returns undefined where the history does not have all messages, or they are too many
 */
export async function readMissed (
  read: (options: HistoryOptions) => Promise<ServerFrames['history']>,
  { epoch, offset }: Position,
  { offset: last }: Position,
  known: readonly MessageFrame[],
  isCurrent: () => boolean
): Promise<MessageFrame[] | undefined> {
  const messages = [...known]
  for (let after: number | undefined = offset; after !== undefined && after < last && isCurrent();) {
    const { recovered, epoch: current, messages: page, next }: ServerFrames['history'] = await read({ after, epoch })
    messages.push(...page.filter((message) => message.offset <= last))
    if (!recovered || current !== epoch || messages.length > MAX_MISSED || (next !== undefined && next <= after)) return undefined
    after = next
  }
  return messages
}
