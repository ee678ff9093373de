/** A Fastify application with one route and a logger: the least that the start of the service can take. */
export default {
  name: 'bare Fastify',
  shapes: ['start'],
  protocol: { path: '/', publish: '' },
  async serve ({ port }) {
    const { default: Fastify } = await import('fastify')
    const app = Fastify({ logger: { level: 'error' } })
    app.get('/', async () => 'hello')
    await app.listen({ port, host: '127.0.0.1' })
  }
}
