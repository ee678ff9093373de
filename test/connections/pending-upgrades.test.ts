import { once } from 'node:events'
import { type Duplex, PassThrough } from 'node:stream'
import { test } from 'tap'
import { PendingUpgrades } from '../../src/connections/pending-upgrades.ts'

function makeSockets (count: number): Duplex[] {
  return Array.from({ length: count }, () => new PassThrough())
}

async function close (socket: Duplex): Promise<void> {
  const closed = once(socket, 'close')
  socket.destroy()
  await closed
}

test('a socket is pending until its upgrade is done or it closes', async (t) => {
  const pending = new PendingUpgrades()
  const [one, two, three] = makeSockets(3) as [Duplex, Duplex, Duplex]
  t.equal(pending.size, 0)
  for (const socket of [one, two, three]) pending.add(socket)
  t.equal(pending.size, 3)
  pending.done(two)
  t.equal(pending.size, 2)
  await close(one)
  t.equal(pending.size, 1)
  await close(two) // It is not pending any more.
  t.equal(pending.size, 1)
  pending.done(three)
  t.equal(pending.size, 0)
})

test('an upgraded socket has no listener left', async (t) => {
  const pending = new PendingUpgrades()
  const [socket] = makeSockets(1) as [Duplex]
  const before = socket.listenerCount('close')
  pending.add(socket)
  t.equal(socket.listenerCount('close'), before + 1)
  pending.done(socket)
  t.equal(socket.listenerCount('close'), before)
})

test('a socket that closes has no listener left', async (t) => {
  const pending = new PendingUpgrades()
  const [socket] = makeSockets(1) as [Duplex]
  const before = socket.listenerCount('close')
  pending.add(socket)
  await close(socket)
  t.equal(socket.listenerCount('close'), before)
})

test('a socket counts once, and may be done twice or without having been pending', async (t) => {
  const pending = new PendingUpgrades()
  const [socket, other] = makeSockets(2) as [Duplex, Duplex]
  pending.add(socket)
  pending.add(socket)
  t.equal(pending.size, 1)
  pending.done(other)
  t.equal(pending.size, 1)
  pending.done(socket)
  pending.done(socket)
  t.equal(pending.size, 0)
})

test('a shutdown destroys the pending sockets and leaves the upgraded ones open', async (t) => {
  const pending = new PendingUpgrades()
  const waiting = makeSockets(3)
  const [upgraded] = makeSockets(1) as [Duplex]
  for (const socket of [...waiting, upgraded]) pending.add(socket)
  pending.done(upgraded)
  const closed = waiting.map(async (socket) => { await once(socket, 'close') })
  pending.destroy()
  t.ok(waiting.every(({ destroyed }) => destroyed))
  t.equal(upgraded.destroyed, false)
  await Promise.all(closed)
  t.equal(pending.size, 0)
  pending.destroy() // Nothing is left.
})
