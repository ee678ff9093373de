import { encodeHistoryMessage } from '../protocol/message.ts'
import type { ClientFrames } from '../protocol/frames.ts'
import { type Command, membershipIn } from './command.ts'

export const history: Command<ClientFrames['history']> = {
  allowance: 'messages',
  holds: false,
  async handle ({ connection, rooms }, { room: name, id, after, before, epoch, limit }) {
    const { room, page } = await rooms.history(name, { after, before, epoch, limit, connection })
    const { position, recovered, messages, next } = page
    const head = JSON.stringify({ type: 'history', id, room, ...position, recovered, next })
    const list = messages.map((message) => encodeHistoryMessage(room, message)).join()
    const answer = () => { connection.sendJson('history', `${head.slice(0, -1)},"messages":[${list}]}`) }
    // In the room's order: no message on the page may arrive live after it.
    const membership = membershipIn(connection, name)
    if (membership === undefined) answer()
    else membership.room.after(answer)
  }
}
