import type { FastifyPluginAsync, RouteHandlerMethod } from 'fastify'
import { handleNotFound } from '../src/problem.ts'

/** Every other path under the prefix. It is a route, for a not-found handler would log URLs as the application around it does. */
const route: FastifyPluginAsync = async (app) => {
  app.route({
    method: app.supportedMethods.filter((method) => method !== 'OPTIONS'), // Preflights have a route of their own.
    url: '/*',
    schema: { hide: true },
    handler: handleNotFound as RouteHandlerMethod
  })
}

export default route
