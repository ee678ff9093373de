import { createServer } from 'node:net'

/** The answer to the key that the load generator always sends (RFC 6455, section 4.2.2). */
const UPGRADED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
/** As long as a message of Roomcast with 64 bytes of text, with its header. */
const MESSAGE_BYTES = 170
const MARKER_BYTES = 18

/**
 * No server at all, but what one cannot go without: a frame that is there already is handed to the kernel for each
 * member, past Node's streams. What it takes is the kernel's send on loopback, and a few instructions.
 */
export default {
  name: 'floor',
  shapes: ['tick', 'tick50', 'solo', 'rooms', 'growth'],
  protocol: {
    path: '/',
    join: { send: '{"type":"join","room":"%R"}', until: '"joined"' },
    publish: '{"type":"chat","text":"%T"}'
  },
  async serve ({ port }) {
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = process.binding('stream_wrap') // eslint-disable-line n/no-deprecated-api -- There is no other way past the streams.
    const message = frame(Buffer.alloc(MESSAGE_BYTES - 4, ' '))
    const rooms = new Map()
    let request = new WriteWrap()

    createServer({ noDelay: true }, (socket) => {
      const handle = socket._handle
      let room
      let upgraded = false
      socket.on('error', () => {})
      socket.on('close', () => { room?.delete(handle) })
      socket.on('data', (data) => {
        if (!upgraded) {
          upgraded = true
          socket.write(UPGRADED)
          return
        }
        for (const text of unmask(data)) {
          if (text.includes('"join"')) {
            const { room: name } = JSON.parse(text)
            if (!rooms.has(name)) rooms.set(name, new Set())
            room = rooms.get(name)
            room.add(handle)
            socket.write(frame(Buffer.from('"joined"')))
          } else {
            const at = text.indexOf('@@')
            text.copy(message, 40, at, at + MARKER_BYTES)
            for (const member of room) {
              request.oncomplete = nothing
              member.writeBuffer(request, message)
              // One that is still under way keeps it; and what it sends is not copied, so only a busy loopback sees another time.
              if (streamBaseState[kLastWriteWasAsync] !== 0) request = new WriteWrap()
            }
          }
        }
      })
    }).listen({ port, host: '127.0.0.1', backlog: 4_096 })
  }
}

function nothing () {}

function frame (payload) {
  return Buffer.concat([payload.length < 126 ? Buffer.from([0x81, payload.length]) : Buffer.from([0x81, 126, payload.length >> 8, payload.length & 255]), payload])
}

/** The payloads of the frames that were read: small ones, which come in one piece. */
function unmask (data) {
  const payloads = []
  for (let at = 0; at + 6 <= data.length;) {
    const short = data[at + 1] & 127
    const header = short === 126 ? 8 : 6
    const length = short === 126 ? data.readUInt16BE(at + 2) : short
    const payload = data.subarray(at + header, at + header + length)
    for (let i = 0; i < payload.length; i++) payload[i] ^= data[at + header - 4 + (i & 3)]
    payloads.push(payload)
    at += header + length
  }
  return payloads
}
