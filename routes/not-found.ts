import type { FastifyPluginAsync, onRequestHookHandler } from 'fastify'
import { handleNotFound } from '../src/problem.ts'

/** Answers every other path under the prefix. It is a route, because a not-found handler would log URLs as the application does. */
const route: FastifyPluginAsync = async (app) => {
  app.route({
    method: app.supportedMethods.filter((method) => method !== 'OPTIONS'), // Another route answers preflights.
    url: '/*',
    schema: { hide: true },
    onRequest: handleNotFound as onRequestHookHandler, // Before the body: the client may never finish it.
    handler: () => {}
  })
}

export default route
