import fp from 'fastify-plugin'
import { Heartbeat } from '../src/hub/heartbeat.ts'
import { Hub } from '../src/hub/hub.ts'

declare module 'fastify' {
  interface FastifyInstance {
    hub: Hub
  }
}

/** `fastify.hub`: the connections and rooms of this instance. */
export default fp(async (app) => {
  const hub = new Hub()
  const heartbeat = new Heartbeat(hub, app.config.HEARTBEAT_SECONDS)
  app.decorate('hub', hub)
  app.addHook('onClose', async () => { heartbeat.stop() })
}, { name: 'roomcast-hub', dependencies: ['roomcast-config'] })
