import { RoomcastError } from '../errors.ts'
import type { ClientFrames, FrameId } from '../protocol/frames.ts'
import type { Content } from '../protocol/message.ts'
import { answerInOrder, type Command, type CommandContext, latestRoom } from './command.ts'

export const publish: Command<ClientFrames['publish']> = {
  allowance: 'messages',
  holds: false,
  async handle (context, frame, bytes) {
    const { event, key, echo, id } = frame
    let content: Content
    if (bytes !== undefined) content = { bytes, event }
    else if ('data' in frame) content = { data: frame.data, event }
    else throw new RoomcastError('invalid_frame', 'Invalid publish frame: it needs "data", or "binary" and a binary frame behind it')
    if (bytes !== undefined && 'data' in frame) {
      throw new RoomcastError('invalid_frame', 'Invalid publish frame: it has both "data" and "binary"')
    }
    await send(context, content, { room: frame.room, key, echo, id })
  }
}

export const chat: Command<ClientFrames['chat']> = {
  allowance: 'messages',
  holds: false,
  async handle (context, { room, text, id }) {
    await send(context, { text }, { room, id })
  }
}

interface SendOptions {
  room: string | undefined
  id?: FrameId | undefined
  key?: string | undefined
  echo?: boolean | undefined
}

/** Publishes, and acknowledges a frame with an id. A member gets the `ack` behind the message itself. */
async function send (context: CommandContext, content: Content, { room, id, key, echo }: SendOptions): Promise<void> {
  const { connection, rooms } = context
  const name = room ?? latestRoom(connection)
  const { position } = await rooms.publish(name, content, {
    key,
    exclude: echo === false ? connection.origin : undefined,
    connection
  })
  if (id === undefined) return
  if (position === undefined) await rooms.caughtUp(name)
  await answerInOrder(context, name, position, () => { connection.send({ type: 'ack', id, room: name, ...position }) })
}
