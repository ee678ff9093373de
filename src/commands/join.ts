import type { ClientFrames } from '../protocol/frames.ts'
import { joinedFrame } from '../rooms/joined.ts'
import type { Command } from './command.ts'

export const join: Command<ClientFrames['join']> = {
  allowance: 'control',
  holds: true,
  async handle ({ connection, identity, memberships }, { room, since, id }) {
    await memberships.join(connection, identity, room, (joined) => { connection.send(joinedFrame(joined, id)) }, { since })
  }
}
