import { setTimeout as sleep } from 'node:timers/promises'
import tap, { test } from 'tap'
import { WebSocket } from 'ws'
import { startService } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { until } from '../support/until.ts'
import { type Client, connect, type Frame } from '../support/websocket-client.ts'
import { closePayload, encodeWire, jsonWire, OPCODE, RawSocket } from '../support/raw-socket.ts'
import { startProcess } from '../support/service-process.ts'

// They mostly wait, so they wait together.
tap.jobs = 8

/** How long a connection outlives its token, ms. */
const GRACE_MS = 10_000

test('a peer that vanishes is closed after the heartbeat and ten seconds; any sign of life is enough to stay', {
  buffered: true
}, async (t) => {
  const service = await startService(t, { HEARTBEAT_SECONDS: '1', LOG_LEVEL: 'silent' })
  const { hub } = service.app.roomcast
  const healthy = await connect(service, { query: 'room=lobby' })
  await healthy.next('joined')
  const open = async (sub: string) => await RawSocket.open(service, { token: makeToken({ sub }), query: 'room=lobby' })
  const mute = await Promise.all(Array.from({ length: 10 }, async (_, i) => await open(`mute-${i}`)))
  for (const { socket } of mute.slice(5)) socket.pause()

  // These never answer a ping, but say something else instead.
  const signs = [
    jsonWire({ type: 'ping' }),
    encodeWire({ opcode: OPCODE.ping }),
    encodeWire({ opcode: OPCODE.pong, payload: 'unasked' }),
    jsonWire({ type: 'nonsense' }),
    encodeWire({ opcode: OPCODE.binary })
  ]
  const alive = await Promise.all(signs.map(async (_, i) => await open(`alive-${i}`)))
  const still = { talking: true }
  const talk = alive.map(async (raw, i) => {
    for (let seen = 0; still.talking;) {
      const pings = () => raw.received.filter(({ opcode }) => opcode === OPCODE.ping).length
      await until(() => pings() > seen, 'the next ping')
      seen = pings()
      raw.write(signs[i] as Buffer)
    }
  })

  const left = new Set<unknown>()
  for (let i = 0; i < mute.length; i++) left.add((await healthy.next(({ event }) => event === 'left')).user)
  t.equal(left.size, 10, 'the others are told')
  t.ok([...left].every((user) => /^mute-/.test(String(user))), 'of nobody else')
  await until(() => hub.connections.size === 1 + alive.length, 'them to be forgotten')
  for (const raw of mute.slice(0, 5)) t.match(await raw.closeFrame, { code: 4012, reason: 'No heartbeat' })
  still.talking = false
  await Promise.all(talk)
  for (const raw of alive) await raw.settle()
  for (const { socket } of [...mute, ...alive]) socket.destroy()
})

test('with heartbeats off nobody is pinged, and a silent peer stays', { buffered: true }, async (t) => {
  const service = await startService(t, { HEARTBEAT_SECONDS: '0', LOG_LEVEL: 'silent' })
  const mute = await RawSocket.open(service)
  await mute.settle()
  await until(() => service.app.roomcast.hub.tick > 24, 'more sweeps than a mute peer would have with a heartbeat')
  await mute.settle()
  t.notOk(mute.received.some(({ opcode }) => opcode === OPCODE.ping))
  mute.socket.destroy()
})

test('a peer that ignores the close frame is destroyed after the close timeout, and heard no more until then', {
  buffered: true
}, async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const reader = await connect(service, { query: 'room=lobby' })
  await reader.next('joined')
  const stubborn = await Promise.all(
    Array.from(
      { length: 4 },
      async (_, i) => await RawSocket.open(service, { token: makeToken({ sub: `stubborn-${i}` }), query: 'room=lobby' })
    )
  )
  for (const [i, raw] of stubborn.entries()) {
    await raw.find(({ type }) => type === 'joined')
    if (i === 1) raw.socket.pause()
    for (let n = 0; n < 10; n++) raw.write(encodeWire({ opcode: OPCODE.text, payload: 'no JSON' }))
    if (i !== 1) t.match(await raw.closeFrame, { code: 4500 })
    raw.write(jsonWire({ type: 'chat', text: 'after the close' }))
    raw.write(encodeWire({ opcode: OPCODE.binary, payload: 'after the close' }))
    // One answers the close frame, and then keeps its TCP connection open.
    if (i === 2) raw.send({ opcode: OPCODE.close, payload: closePayload(4500) })
    // One goes on with what is not even a frame.
    if (i === 3) raw.write(Buffer.alloc(100_000, 0xff))
  }
  await Promise.all(stubborn.filter((_, i) => i !== 1).map(async (raw) => { await raw.ended }))
  await until(() => service.app.roomcast.hub.connections.size === 1, 'them to be forgotten')
  const frames = await reader.drain() as Frame[]
  t.strictSame(frames.filter(({ type }) => type === 'message'), [], 'nothing was published')
  t.equal(frames.filter(({ event }) => event === 'left').length, 4)
  for (const { socket } of stubborn) socket.destroy()
})

test('a connection that is reset, half closed or cut inside a frame is gone at once', { buffered: true }, async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const ends: Record<string, (raw: RawSocket) => void> = {
    'a reset': (raw) => { raw.socket.resetAndDestroy() },
    'a FIN without a close frame': (raw) => { raw.socket.end() },
    'a FIN inside a frame': (raw) => { raw.socket.end(jsonWire({ type: 'chat', text: 'never whole' }).subarray(0, 20)) },
    'a FIN inside a fragmented message': (raw) => { raw.socket.end(encodeWire({ opcode: OPCODE.text, fin: false, payload: 'x' })) },
    'a FIN behind a message': (raw) => { raw.socket.end(jsonWire({ type: 'chat', text: 'the last words' })) }
  }
  const reader = await connect(service, { query: 'room=lobby' })
  for (const [name, end] of Object.entries(ends)) {
    const raw = await RawSocket.open(service, { token: makeToken({ sub: 'bob' }), query: 'room=lobby' })
    await raw.find(({ type }) => type === 'joined')
    end(raw)
    t.match(await reader.next(({ event }) => event === 'left'), { user: 'bob' }, name)
    await until(() => service.app.roomcast.hub.connections.size === 1)
    raw.socket.destroy()
  }
  const messages = (await reader.drain() as Frame[]).filter(({ type }) => type === 'message')
  t.match(messages, [{ text: 'the last words', from: 'bob' }])
  t.equal(messages.length, 1)
})

test('a connection ends with 4001 when its token has, and gets nothing after', { buffered: true }, async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent' })
  const lasting = await connect(service, { query: 'room=lobby' })
  // Just expired, and inside the tolerance for clocks.
  const exp = Math.floor(Date.now() / 1_000) - 3
  const token = makeToken({ sub: 'bob', exp })
  const ending = await connect(service, { token, query: 'room=lobby', protocols: ['roomcast.v1'] })
  t.match(await ending.next('welcome'), { expiresAt: exp * 1_000 })
  let last: Frame | undefined
  ending.ws.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as Frame
    if (frame.type === 'message') last = frame
  })
  let published = 0
  while (ending.ws.readyState === WebSocket.OPEN) {
    const ack = await lasting.ask({ type: 'chat', text: 'x' })
    published = Number(ack.offset)
    ending.send({ type: 'ping' })
    await sleep(50) // The load: twenty a second.
  }
  t.strictSame(await ending.closed, { code: 4001, reason: 'Unauthorized' })
  t.ok(Number(last?.time) > exp * 1_000 + 5_000, 'it was served in the time of grace')
  t.ok(Number(last?.time) <= exp * 1_000 + GRACE_MS + 1_000, 'and not beyond it')
  t.ok(Number(last?.offset) <= published)
  t.match(await lasting.next(({ event }) => event === 'left'), { user: 'bob' })
  t.match(await lasting.ask({ type: 'ping' }), { type: 'pong' })
})

test('a connection lasts no longer than the longest lifetime, whatever its token says', { buffered: true }, async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent', MAX_TOKEN_LIFETIME_SECONDS: '1' })
  const before = Date.now()
  const client = await connect(service, { protocols: ['roomcast.v1'], token: makeToken({ exp: 99_999_999_999 }) })
  const { expiresAt } = await client.next('welcome')
  t.ok(Number(expiresAt) >= before + 1_000 && Number(expiresAt) <= Date.now() + 1_000)
  t.strictSame(await client.closed, { code: 4001, reason: 'Unauthorized' })
})

test('an event loop that stands still disconnects nobody', { buffered: true }, async (t) => {
  const service = await startProcess(t, { JWT_SECRET: SECRET, HEARTBEAT_SECONDS: '1', LOG_LEVEL: 'silent' })
  const target = { ...service, log: [] } as unknown as Parameters<typeof connect>[0]
  const clients = await Promise.all(Array.from({ length: 50 }, async () => await connect(target, { query: 'room=lobby' })))
  await Promise.all(clients.map(async (client) => await client.next('joined')))
  const pinged = async (client: Client) => {
    await new Promise<void>((resolve) => {
      client.ws.once('ping', resolve)
      client.ws.once('close', () => { resolve() })
    })
  }
  await Promise.all(clients.map(pinged))
  service.child.kill('SIGSTOP')
  await sleep(13_000) // The fault: longer than a silent client is given.
  service.child.kill('SIGCONT')
  for (let i = 0; i < 2; i++) await Promise.all(clients.map(pinged))
  t.equal(clients.filter(({ ws }) => ws.readyState === WebSocket.OPEN).length, 50)
  t.match(await clients[0]?.ask({ type: 'chat', text: 'still here' }), { type: 'ack', offset: 1 })
  for (const { ws } of clients) ws.terminate()
})
