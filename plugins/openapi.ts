import { createRequire } from 'node:module'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { handleNotFound } from '../src/problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Parts of the schema for OpenAPI, where the handler is stricter than the schema: its refusals are in words. */
    documented?: FastifySchema
  }
}

/** The routes of `@fastify/swagger-ui` below `/docs`. */
const PAGES = ['/', '/json', '/yaml', '/static/index.html', '/static/swagger-initializer.js', '/static/*']
/** Headers of a request that decide about the answer. */
const CONDITIONS = new Set(['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range', 'range', 'cache-control'])
/** Headers of an answer that belong to its connection. */
const CONNECTION_HEADERS = new Set(['connection', 'date', 'transfer-encoding'])

/**
 * OpenAPI of the REST routes: `/docs` to look at, `/openapi.json` for tools. A second application answers them. The
 * first request starts it: loading its packages would slow down every start of the service.
 */
export default fp(async (app) => {
  const routes: RouteOptions[] = []
  let documentation: Promise<FastifyInstance> | undefined
  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    // The page names its files relative to `/docs/`, so that they are found under any prefix, also one that a proxy adds.
    if (new URL(request.url, 'http://_').pathname.endsWith('/docs')) return await reply.redirect('docs/')
    documentation ??= describe(routes, app.prefix)
    documentation.catch(() => { documentation = undefined }) // The next request tries again.
    // HEAD is answered as GET is, without the body, which Fastify leaves out.
    const asked = Object.fromEntries(Object.entries(request.headers).filter(([name]) => CONDITIONS.has(name)))
    const { statusCode, headers, rawPayload } = await (await documentation).inject({ method: 'GET', url: request.url, headers: asked })
    if (statusCode === 404) {
      handleNotFound(request, reply)
      return reply
    }
    for (const [name, value] of Object.entries(headers)) if (value !== undefined && !CONNECTION_HEADERS.has(name)) reply.header(name, value)
    return await reply.code(statusCode).send(rawPayload.length === 0 ? undefined : rawPayload)
  }
  await app.register(async (pages) => {
    for (const page of PAGES) pages.get(page, { logLevel: 'warn', schema: { hide: true } }, answer)
  }, { prefix: '/docs' })
  app.get('/openapi.json', { schema: { hide: true } }, answer)
  app.addHook('onRoute', (route) => { if (route.schema?.hide !== true) routes.push(route) })
  app.addHook('onClose', async () => { await (await documentation?.catch(() => undefined))?.close() })
}, { name: 'roomcast-openapi' })

/** Makes an application that describes routes and serves the pages, but runs no described route. */
async function describe (routes: RouteOptions[], prefix: string): Promise<FastifyInstance> {
  // By the name of the package: its files are in plugins/ and in dist/plugins/.
  const { description, version } = createRequire(import.meta.url)('roomcast/package.json') as { description: string, version: string }
  const { default: Fastify } = await import('fastify')
  const { default: swagger } = await import('@fastify/swagger')
  const { default: swaggerUi } = await import('@fastify/swagger-ui')
  const app = Fastify()
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => JSON.stringify)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Roomcast', description, version, license: { name: 'MIT', identifier: 'MIT' } },
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'A JWT with `sub`, `exp` and, if wanted, `rooms` (grants).'
          }
        }
      },
      security: [{ token: [] }],
      tags: [
        { name: 'messages', description: 'Publishing and history' },
        { name: 'rooms', description: 'Occupancy and positions' },
        { name: 'health', description: 'For orchestrators' }
      ]
    }
  })
  await app.register(async (scope) => {
    await scope.register(swaggerUi, { routePrefix: '/docs' })
    scope.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
  }, { prefix })
  // It only describes them: a path with `..` may lead here.
  const refuse: RouteHandlerMethod = (_request, reply) => { reply.callNotFound() }
  for (const { method, url, schema, config } of routes) {
    if (method !== 'HEAD') app.route({ method, url, schema: { ...schema, ...config?.documented }, handler: refuse })
  }
  await app.ready()
  return app
}
