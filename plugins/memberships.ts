import fp from 'fastify-plugin'
import { Memberships } from '../src/rooms/membership.ts'
import { Resumes } from '../src/rooms/resume.ts'

declare module 'fastify' {
  interface FastifyInstance {
    memberships: Memberships
  }
}

/** `fastify.memberships`: joins and leaves. */
export default fp(async (app) => {
  const { broker, config, continuity, historyReads, hub, presence } = app
  app.decorate('memberships', new Memberships({
    hub,
    broker,
    presence,
    policies: config.policies,
    resumes: new Resumes({ reads: historyReads, continuity }),
    maxRoomsPerConnection: config.MAX_ROOMS_PER_CONNECTION,
    onError: (err) => { app.log.error({ err }, 'a change of membership failed') }
  }))
}, {
  name: 'roomcast-memberships',
  dependencies: ['roomcast-config', 'roomcast-broker', 'roomcast-presence', 'roomcast-hub', 'roomcast-history-reads', 'roomcast-continuity']
})
