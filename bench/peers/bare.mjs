/** A Fastify route that verifies a token and answers 201: the least that publishing over HTTP can cost. */
export default {
  name: 'bare route',
  shapes: ['rest'],
  protocol: {
    path: '/',
    publish: '',
    rest: { single: { path: '/v1/rooms/%R/messages', body: '{"text":"%T"}' } }
  },
  noMembers: true,
  async serve ({ port, secret }) {
    const { default: Fastify } = await import('fastify')
    const { default: jwt } = await import('@fastify/jwt')
    const app = Fastify()
    app.register(jwt, { secret, verify: { cache: true } })
    app.post('/v1/rooms/:room/messages', { onRequest: async (request) => { await request.jwtVerify() } }, async (request, reply) => {
      reply.code(201)
      return { room: request.params.room }
    })
    await app.listen({ port, host: '127.0.0.1' })
  }
}
