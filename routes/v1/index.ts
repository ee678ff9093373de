import type { FastifyPluginAsync } from 'fastify'
import broadcast from './broadcast.ts'
import events from './events.ts'
import messages from './messages.ts'
import rooms from './rooms/index.ts'
import roomMessages from './rooms/messages.ts'
import userMessages from './users/messages.ts'

/** `/v1`: the REST API. Every route needs a token. */
const routes: FastifyPluginAsync = async (app) => {
  const { MAX_MESSAGE_BYTES } = app.config
  app.addHook('onRoute', (route) => {
    // 0 turns the limit off; Fastify wants a number.
    route.bodyLimit ??= MAX_MESSAGE_BYTES > 0 ? MAX_MESSAGE_BYTES : Number.MAX_SAFE_INTEGER
  })
  app.addHook('onRequest', async (request, reply) => {
    await app.authentication.required(request, reply)
  })
  await app.register(roomMessages)
  await app.register(messages)
  await app.register(userMessages)
  await app.register(broadcast)
  await app.register(rooms)
  await app.register(events)
}

export default routes
