import fp from 'fastify-plugin'
import { Entrance } from '../src/entrance.ts'

declare module 'fastify' {
  interface FastifyInstance {
    entrance: Entrance
  }
}

/** `fastify.entrance`: the way in of every connection. */
export default fp(async (app) => {
  const { config, rooms } = app
  app.decorate('entrance', new Entrance({ config, rooms, onError: (err) => { app.log.error({ err }, 'a connection could not enter') } }))
}, { name: 'roomcast-entrance', dependencies: ['roomcast-config', 'roomcast-rooms'] })
