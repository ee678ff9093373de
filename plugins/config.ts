import fp from 'fastify-plugin'
import { type Config, readConfig } from '../src/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
  }
}

export interface ConfigOptions {
  /** Instead of what the environment says. */
  config?: Config | undefined
}

/** `fastify.config`: the settings. */
export default fp<ConfigOptions>(async (app, { config }) => {
  app.decorate('config', config ?? readConfig())
}, { name: 'roomcast-config' })
