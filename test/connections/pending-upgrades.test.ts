import { once } from 'node:events'
import { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, PassThrough } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import { HttpConnections } from '../../src/connections/http-connections.ts'
import { PendingUpgrades } from '../../src/connections/pending-upgrades.ts'

interface Upgrade {
  request: IncomingMessage
  socket: Duplex
  response: ServerResponse
}

/** A server whose listener gives each upgrade a response, as `@fastify/websocket` does. */
function makeServer () {
  const server = new Server()
  server.on('upgrade', (request: IncomingMessage, socket: Socket) => { new ServerResponse(request).assignSocket(socket) })
  const pending = new PendingUpgrades(server, new HttpConnections(server))
  return { server, pending }
}

async function upgrade (server: Server): Promise<Upgrade> {
  const socket = new PassThrough()
  const request = new IncomingMessage(socket as unknown as Socket)
  server.emit('upgrade', request, socket, Buffer.alloc(0))
  await nextTurn()
  const { _httpMessage: response } = socket as unknown as { _httpMessage: ServerResponse }
  return { request, socket, response }
}

test('a socket is pending until its 101 is written or it closes', async (t) => {
  const { server, pending } = makeServer()
  t.equal(pending.size, 0)
  const [one, two] = [await upgrade(server), await upgrade(server)]
  t.equal(pending.size, 2)
  pending.done(two.request)
  t.equal(pending.size, 1)
  const closed = once(one.socket, 'close')
  one.socket.destroy()
  await closed
  t.equal(pending.size, 0)
  pending.done(two.request) // Once more, without effect.
  t.equal(pending.size, 0)
})

test('a socket is ended after any answer but the 101', async (t) => {
  const { server, pending } = makeServer()
  const [refused, upgraded] = [await upgrade(server), await upgrade(server)]
  refused.socket.resume()
  const closed = once(refused.socket, 'close')
  refused.response.end('no')
  await closed
  t.equal(pending.size, 1)
  pending.done(upgraded.request)
  upgraded.response.end()
  await nextTurn()
  t.equal(upgraded.socket.destroyed, false)
})

test('a socket that is answered or upgraded within the event itself is not left behind', async (t) => {
  const { server, pending } = makeServer()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex & { _httpMessage?: ServerResponse }) => {
    if (request.url === '/ws') pending.done(request)
    else socket._httpMessage?.end('no')
  })
  const refused = await upgrade(server)
  refused.socket.resume()
  if (!refused.socket.destroyed) await once(refused.socket, 'close')
  const socket = new PassThrough()
  const request = Object.assign(new IncomingMessage(socket as unknown as Socket), { url: '/ws' })
  server.emit('upgrade', request, socket, Buffer.alloc(0))
  await nextTurn()
  t.equal(socket.destroyed, false)
  t.equal(pending.size, 0)
})

test('a socket that another listener has taken is left to it', async (t) => {
  const server = new Server()
  const pending = new PendingUpgrades(server, new HttpConnections(server))
  const { socket } = await upgrade(server)
  t.equal(pending.size, 0)
  pending.close()
  t.equal(socket.destroyed, false)
  t.equal(socket.listenerCount('close'), new PassThrough().listenerCount('close'))
})

test('an upgraded socket has no listener left', async (t) => {
  const { server, pending } = makeServer()
  const { request, socket, response } = await upgrade(server)
  pending.done(request)
  response.detachSocket(socket as unknown as Socket)
  t.equal(socket.listenerCount('close'), new PassThrough().listenerCount('close'))
})

test('a shutdown destroys the pending sockets and leaves the upgraded ones open', async (t) => {
  const { server, pending } = makeServer()
  const waiting = [await upgrade(server), await upgrade(server), await upgrade(server)]
  const upgraded = await upgrade(server)
  pending.done(upgraded.request)
  const closed = waiting.map(async ({ socket }) => { await once(socket, 'close') })
  pending.close()
  t.equal(upgraded.socket.destroyed, false)
  await Promise.all(closed)
  t.equal(pending.size, 0)
  await upgrade(server)
  t.equal(pending.size, 0, 'later ones are answered by the shutdown')
})
