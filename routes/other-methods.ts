import type { FastifyPluginAsync } from 'fastify'
import { RoomcastError } from '../src/errors.ts'

/** The options of `otherMethods`. */
export interface OtherMethodsOptions {
  /** The routes to register. */
  routes: FastifyPluginAsync[]
}

/** Registers routes, and answers the methods that a path does not have with 405 and `Allow` (RFC 9110, section 15.5.6). */
const route: FastifyPluginAsync<OtherMethodsOptions> = async (app, { routes }) => {
  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    // CORS answers OPTIONS on every path.
    const known = methods.get(url) ?? new Set(['OPTIONS'])
    for (const one of [method].flat()) known.add(one)
    methods.set(url, known)
  })
  for (const one of routes) await app.register(one)

  for (const [url, known] of [...methods]) {
    const allow = [...known].sort().join(', ')
    app.route({
      method: app.supportedMethods.filter((method) => !known.has(method)),
      url: url.slice(app.prefix.length),
      exposeHeadRoute: false,
      schema: { hide: true },
      // Before a body is read.
      onRequest: (request, reply, done) => {
        void reply.header('allow', allow)
        done(new RoomcastError('method_not_allowed', `${request.method} is not allowed here; use ${allow}`))
      },
      handler: () => {}
    })
  }
}

export default route
