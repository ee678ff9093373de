import { io } from 'socket.io-client'

/** Connects the right pane, and returns what the pane needs. */
export function connectSocketIo ({ url, room, recovers, onMessage, onState }) {
  const socket = io(url, { auth: { room }, ...(recovers && { retries: 3, ackTimeout: 2_000 }) })
  socket.on('chat message', onMessage)
  socket.on('connect', () => {
    // It begins with long polling. Until it has a WebSocket, the server does not see at once that the connection is lost.
    const { engine } = socket.io
    if (engine.transport.name === 'websocket') onState('connected')
    else engine.once('upgrade', () => { onState('connected') })
  })
  socket.on('disconnect', () => { onState('trying to connect') })
  return {
    send: (message) => { socket.emit('chat message', message) }
  }
}
