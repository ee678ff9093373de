import type { ClientFrames } from '../protocol/frames.ts'
import type { Command } from './command.ts'

export const ping: Command<ClientFrames['ping']> = {
  allowance: 'control',
  holds: false,
  async handle ({ connection }, { id }) {
    connection.send({ type: 'pong', id })
  }
}
