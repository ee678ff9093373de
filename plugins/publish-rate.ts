import fp from 'fastify-plugin'
import { PublishRate } from '../src/callers/publish-rate.ts'

declare module 'fastify' {
  interface FastifyInstance {
    publishRate: PublishRate
  }
}

/** `fastify.publishRate`: the rate at which each caller may publish over REST. */
export default fp(async (app) => {
  const { REST_RATE, REST_BURST } = app.config
  app.decorate('publishRate', new PublishRate(REST_RATE, REST_BURST))
}, { name: 'roomcast-publish-rate', dependencies: ['roomcast-config'] })
