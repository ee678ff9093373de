import fastifyJwt from '@fastify/jwt'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import roomcast, { readConfig } from 'roomcast'

const JWT_SECRET = process.env.JWT_SECRET ?? 'a secret of the example, thirty-two bytes and more'

/** A shop: its own routes, its own tokens, its own WebSocket, and Roomcast under /realtime. */
export async function buildShop (options = {}) {
  const app = Fastify(options)
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  await app.register(fastifyWebsocket)

  // Roomcast accepts the shop's tokens, for it has the same secret.
  await app.register(roomcast, { prefix: '/realtime', config: readConfig({ ...process.env, JWT_SECRET }) })

  // Whoever signs in may listen to orders, and nothing else.
  app.post('/sign-in', async (request) => {
    const { user } = request.body
    return { token: app.jwt.sign({ sub: user, rooms: { 'orders:{sub}': ['join', 'history'] } }, { expiresIn: 3600 }) }
  })

  // An order is told to everything that its customer has open, on whichever instance.
  app.post('/orders/:id/ship', { onRequest: async (request) => { await request.jwtVerify() } }, async (request) => {
    const { id } = request.params
    const { position } = await app.rooms.publish(`orders:${request.user.sub}`, { event: 'shipped', data: { id } })
    return { id, ...position }
  })

  // A WebSocket of the shop's own.
  app.get('/echo', { websocket: true }, (socket) => {
    socket.on('message', (data) => { socket.send(String(data)) })
  })

  return app
}
