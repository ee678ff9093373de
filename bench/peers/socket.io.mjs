/** Socket.IO by its documentation: its rooms, WebSocket alone; its Redis adapter where there are two instances. No token is looked at. */
export default {
  name: 'socket.io',
  shapes: ['hot', 'tick', 'tick50', 'solo', 'rooms', 'upgrade', 'memory', 'redis-hot', 'redis-latency'],
  libraries: ['socket.io', '@socket.io/redis-adapter'],
  protocol: {
    path: '/socket.io/?EIO=4&transport=websocket',
    open: [{ send: '40', until: '40{' }],
    join: { send: '42["join","%R"]', until: '"joined"' },
    publish: '42["chat","%R","%T"]',
    reply: { 2: '3' } // Engine.IO's ping and pong.
  },
  async serve ({ port, redis }) {
    const { createServer } = await import('node:http')
    const { Server } = await import('socket.io')
    const http = createServer()
    const io = new Server(http, { transports: ['websocket'], serveClient: false })
    if (redis !== undefined) {
      const { createAdapter } = await import('@socket.io/redis-adapter')
      const { Redis } = await import('ioredis')
      io.adapter(createAdapter(new Redis(redis), new Redis(redis)))
    }
    io.on('connection', (socket) => {
      socket.on('join', async (room) => {
        await socket.join(room)
        socket.emit('joined', room)
      })
      socket.on('chat', (room, text) => { io.to(room).emit('message', room, 'x', text) })
    })
    http.listen(port, '127.0.0.1')
  }
}
