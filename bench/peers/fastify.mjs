/** The naive server behind Fastify, `@fastify/websocket` and `@fastify/jwt`: what opening a connection costs with these. */
export default {
  name: 'fastify',
  shapes: ['upgrade', 'memory'],
  protocol: {
    path: '/ws?token=%K',
    join: { send: '{"type":"join","room":"%R"}', until: '"joined"' },
    publish: ''
  },
  async serve ({ port, secret }) {
    const [{ default: Fastify }, { default: jwt }, { default: websocket }] = await Promise.all([import('fastify'), import('@fastify/jwt'), import('@fastify/websocket')])
    const app = Fastify()
    await app.register(websocket)
    await app.register(jwt, { secret, verify: { cache: true, extractToken: (request) => request.query.token } })
    const rooms = new Map()
    app.get('/ws', { websocket: true, onRequest: async (request) => { await request.jwtVerify() } }, (ws) => {
      let room
      ws.on('message', (raw) => {
        room = JSON.parse(raw).room
        if (!rooms.has(room)) rooms.set(room, new Set())
        rooms.get(room).add(ws)
        ws.send(JSON.stringify({ type: 'joined', room }))
      })
      ws.on('close', () => { rooms.get(room)?.delete(ws) })
    })
    await app.listen({ port, host: '127.0.0.1' })
  }
}
