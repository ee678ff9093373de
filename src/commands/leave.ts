import type { ClientFrames } from '../protocol/frames.ts'
import type { Command } from './command.ts'

export const leave: Command<ClientFrames['leave']> = {
  allowance: 'control',
  holds: true,
  async handle ({ connection, identity, memberships }, { room, id }) {
    await memberships.leave(connection, identity, room, (room) => { connection.send({ type: 'left', room, id }) })
  }
}
