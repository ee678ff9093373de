import { createRequire } from 'node:module'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'

// By the name of the package: its files are in plugins/ and in dist/plugins/.
const { description, version } = createRequire(import.meta.url)('roomcast/package.json') as { description: string, version: string }

/** OpenAPI of the REST routes: `/docs` to look at, `/openapi.json` for tools. */
export default fp(async (app) => {
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
  await app.register(swaggerUi, { routePrefix: '/docs', logLevel: 'warn' })
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
}, { name: 'roomcast-openapi' })
