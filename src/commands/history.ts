import { encodeHistoryMessage } from '../protocol/message.ts'
import type { ClientFrames } from '../protocol/frames.ts'
import { answerInOrder, type Command } from './command.ts'

export const history: Command<ClientFrames['history']> = {
  allowance: 'messages',
  holds: false,
  async handle (context, { room: name, id, after, before, epoch, limit }) {
    const { connection, rooms } = context
    const { room, page } = await rooms.history(name, { after, before, epoch, limit, connection })
    const { position, recovered, messages, next } = page
    const head = JSON.stringify({ type: 'history', id, room, ...position, recovered, next })
    const list = messages.map((message) => encodeHistoryMessage(room, message)).join()
    const newest = messages.at(-1)
    const upTo = position && newest && { epoch: position.epoch, offset: newest.offset }
    await answerInOrder(context, name, upTo, () => { connection.sendJson('history', `${head.slice(0, -1)},"messages":[${list}]}`) })
  }
}
