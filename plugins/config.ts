import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
  }
}

interface ConfigOptions {
  config: Config
}

/** `fastify.config`: the settings. */
export default fp<ConfigOptions>(async (app, { config }) => {
  app.decorate('config', config)
}, { name: 'roomcast-config' })
