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

/** `fastify.config`: the settings. Their warnings go to the log. */
export default fp<ConfigOptions>(async (app, { config }) => {
  app.decorate('config', config)
  for (const warning of config.warnings) app.log.warn(warning)
}, { name: 'roomcast-config' })
