import type { FastifyPluginAsync } from 'fastify'

/** `GET /health/live` and `GET /health/ready`, for orchestrators and load balancers. */
const route: FastifyPluginAsync = async (app) => {
  const status = (description: string, value: string) => ({
    description,
    type: 'object',
    required: ['status'],
    properties: { status: { type: 'string', examples: [value] } }
  })

  app.get('/health/live', {
    logLevel: 'warn',
    schema: { tags: ['health'], summary: 'Is the process alive?', security: [], response: { 200: status('Yes.', 'live') } }
  }, async () => ({ status: 'live' }))

  app.get('/health/ready', {
    logLevel: 'warn',
    schema: {
      tags: ['health'],
      summary: 'Should this instance get traffic?',
      security: [],
      response: {
        200: status('Yes.', 'ready'),
        503: status('No: it is shutting down (`leaving`), or Redis is unavailable (`unavailable`).', 'leaving')
      }
    }
  }, async (_request, reply) => {
    if (app.shutdown.leaving) return await reply.code(503).send({ status: 'leaving' })
    if (!app.broker.reachable) return await reply.code(503).send({ status: 'unavailable' })
    return { status: 'ready' }
  })
}

export default route
