/** What one writes first: a `ws` server, a Map of Sets, and a loop. No token is looked at. */
export default {
  name: 'naive',
  shapes: ['hot', 'tick', 'tick50', 'solo', 'rooms', 'upgrade', 'memory', 'growth', 'slow'],
  libraries: ['ws'],
  protocol: {
    path: '/ws?token=%K',
    join: { send: '{"type":"join","room":"%R"}', until: '"joined"' },
    publish: '{"type":"chat","text":"%T"}'
  },
  async serve ({ port }) {
    const { WebSocketServer } = await import('ws')
    const rooms = new Map()
    const server = new WebSocketServer({ port, host: '127.0.0.1', perMessageDeflate: false })
    server.on('connection', (ws) => {
      let room
      ws.on('error', () => {})
      ws.on('message', (raw) => {
        const frame = JSON.parse(raw)
        if (frame.type === 'join') {
          room = frame.room
          if (!rooms.has(room)) rooms.set(room, new Set())
          rooms.get(room).add(ws)
          ws.send(JSON.stringify({ type: 'joined', room }))
        } else {
          for (const client of rooms.get(room)) client.send(JSON.stringify({ type: 'message', room, from: 'x', text: frame.text }))
        }
      })
      ws.on('close', () => { rooms.get(room)?.delete(ws) })
    })
  }
}
