import type { ClientFrames } from '../protocol/frames.ts'
import type { Command } from './command.ts'

export const join: Command<ClientFrames['join']> = {
  allowance: 'control',
  holds: true,
  async handle ({ connection, identity, rooms }, { room, since, id }) {
    await rooms.join(connection, identity, room, ({ room, position, ...joined }) => {
      connection.send({ type: 'joined', room, ...position, ...joined, id })
    }, { since })
  }
}
