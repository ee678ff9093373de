import { once } from 'node:events'
import { createServer } from 'node:http'
import Fastify from 'fastify'
import roomcast, { readConfig } from 'roomcast'
import { Server } from 'socket.io'

/** Starts Roomcast with its default settings. */
export async function startRoomcast (JWT_SECRET) {
  const app = Fastify({ logger: { level: 'warn' } })
  await app.register(roomcast, { config: readConfig({ JWT_SECRET }) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    port: app.server.address().port,
    publish: async (room, data) => { await app.rooms.publish(room, { data }) },
    close: async () => { await app.close() }
  }
}

/** Starts socket.io with the chat of its getting-started guide, in rooms. */
export async function startSocketIo (options) {
  const server = createServer()
  const io = new Server(server, { cors: { origin: '*' }, ...options })
  io.on('connection', (socket) => {
    // The client is in its room before the server reads the messages that the client has buffered.
    const { room } = socket.handshake.auth
    socket.join(room)
    socket.on('chat message', (message, acknowledge) => {
      io.to(room).emit('chat message', message)
      acknowledge?.() // Only a client with retries asks for it.
    })
    // Connection state recovery needs an event from before the disconnection.
    socket.emit('joined')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: server.address().port,
    publish: async (room, message) => { io.to(room).emit('chat message', message) },
    close: async () => { await io.close() }
  }
}
