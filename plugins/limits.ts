import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { addressKey } from '../src/connections/address-key.ts'
import { type CountConnection, Limits } from '../src/connections/limits.ts'

declare module 'fastify' {
  interface FastifyInstance {
    limits: Limits
  }
}

/** The period of `UPGRADES_PER_MINUTE`, ms. */
const MINUTE_MS = 60_000

/** `fastify.limits`: the limits of new connections. */
export default fp(async (app) => {
  const { config, hub, shutdown } = app
  app.decorate('limits', new Limits({
    hub,
    allowedOrigins: config.allowedOrigins,
    maxConnections: config.MAX_CONNECTIONS,
    maxConnectionsPerUser: config.MAX_CONNECTIONS_PER_USER,
    maxConnectionsPerAddress: config.MAX_CONNECTIONS_PER_ADDRESS,
    countConnection: config.UPGRADES_PER_MINUTE > 0 ? await countPerMinute(config.UPGRADES_PER_MINUTE) : undefined,
    isDraining: () => shutdown.draining
  }))
}, { name: 'roomcast-limits', dependencies: ['roomcast-config', 'roomcast-hub', 'roomcast-shutdown'] })

async function countPerMinute (max: number): Promise<CountConnection> {
  const { default: rateLimit } = await import('@fastify/rate-limit') // Rarely needed, and slow to load.
  // In a separate application: beside a rate limit of the host application, the plugin would use the settings of the host.
  const { default: Fastify } = await import('fastify')
  const counter = Fastify()
  await counter.register(rateLimit, { global: false })
  const rateOf = counter.createRateLimit({ max, timeWindow: MINUTE_MS, keyGenerator: addressKey })
  return async (client) => {
    const rate = await rateOf(client as FastifyRequest)
    return !rate.isAllowed && rate.isExceeded ? rate.ttl : undefined
  }
}
