import type { ClientFrames } from '../protocol/frames.ts'
import type { Command } from './command.ts'
import { history } from './history.ts'
import { join } from './join.ts'
import { leave } from './leave.ts'
import { ping } from './ping.ts'
import { chat, publish } from './publish.ts'

/** The command of each type of frame that a client may send. */
export const COMMANDS: { readonly [T in keyof ClientFrames]: Command<ClientFrames[T]> } = { join, leave, chat, publish, history, ping }
