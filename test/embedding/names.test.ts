import { once } from 'node:events'
import fastifyCors from '@fastify/cors'
import fastifyJwt from '@fastify/jwt'
import fastifyRateLimit from '@fastify/rate-limit'
import fastifySwagger from '@fastify/swagger'
import fastifyWebsocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import type { WebSocket } from 'ws'
import roomcast, { readConfig } from '../../src/app.ts'
import { buildHost, checkRoomcast, startHost } from '../support/host.ts'
import { call } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { close, refusal } from '../support/websocket-client.ts'
import { until } from '../support/until.ts'

test('the rooms may have another name, and a taken name is one clear error before anything starts', async (t) => {
  const { app } = await buildHost(t, {
    decorator: 'realtimeRooms',
    before: (app) => { app.decorate('rooms', 'of the application' as never) }
  })
  t.equal(app.rooms as unknown, 'of the application')
  const { realtimeRooms } = app as unknown as { realtimeRooms: FastifyInstance['rooms'] }
  t.match(await realtimeRooms.publish('lobby', { text: 'hi' }), { replayed: false })

  for (const [name, options, remedy] of [
    ['rooms', {}, 'option `decorator`'], ['mine', { decorator: 'mine' }, 'option `decorator`'], ['roomcast', {}, 'register Roomcast once']
  ] as const) {
    const taken = Fastify()
    taken.decorate(name, null)
    await t.rejects(
      async () => { await taken.register(roomcast, { config: { JWT_SECRET: SECRET, REDIS_URL: 'redis://127.0.0.1:1' }, ...options }) },
      { message: new RegExp(`already has the decorator ${name}; .*${remedy}`) }
    )
  }
})

test('the settings may be plain variables', async (t) => {
  const host = await startHost(t, { config: { JWT_SECRET: SECRET, MAX_MESSAGE_BYTES: '100' } })
  t.equal(host.app.roomcast.config.MAX_MESSAGE_BYTES, 100)
  await checkRoomcast(t, host)
  for (const config of [{}, { JWT_SECRET: SECRET, MESSAGE_RATE: 'fast' }, { policies: 'none' }]) {
    await t.rejects(async () => { await Fastify().register(roomcast, { config } as object) }, { name: 'InvalidConfig' })
  }
})

test('plugins of the application keep their decorators, and Roomcast does not use them', async (t) => {
  for (const when of ['before', 'after'] as const) {
    const keys: string[] = []
    const host = await startHost(t, {
      config: readConfig({ JWT_SECRET: SECRET, UPGRADES_PER_MINUTE: '2' }),
      [when]: async (app: FastifyInstance) => {
        if (when === 'before') await app.register(fastifyWebsocket)
        await app.register(fastifyJwt, { secret: 'of the application' })
        await app.register(fastifyCors, { origin: 'https://mine.example' })
        await app.register(fastifySwagger, { openapi: { info: { title: 'Mine', version: '1' } } })
        await app.register(fastifyRateLimit, { global: false, keyGenerator: () => { keys.push('used'); return String(keys.length) } })
      }
    })
    t.strictSame(Object.keys(host.app.jwt).filter((name) => name.startsWith('roomcast')), [], when)
    await close(await checkRoomcast(t, host))
    await checkRoomcast(t, host)
    t.match(await refusal(host.realtime), { status: 429, body: { code: 'rate_limited' } }, when)
    t.strictSame(keys, [], when)
    t.equal((await call(host.realtime, 'GET', '/v1/rooms', { token: host.app.jwt.sign({ sub: 'ada' }) })).status, 401)
  }
})

test('injectWS opens a WebSocket without a server that listens', async (t) => {
  for (const when of ['before', 'never'] as const) {
    const { app } = await buildHost(t, {
      config: readConfig({ JWT_SECRET: SECRET, UPGRADES_PER_MINUTE: '10', MAX_CONNECTIONS_PER_ADDRESS: '10' }),
      before: async (app) => { if (when === 'before') await app.register(fastifyWebsocket) },
      after: (app) => {
        app.get('/echo', { websocket: true }, (socket) => { socket.on('message', (data) => { socket.send(data as Buffer) }) })
      }
    })
    await app.ready()
    const open = async (path: string, headers = {}): Promise<{ ws: WebSocket, frames: { type: string, text?: string }[] }> => {
      const frames: { type: string }[] = []
      const ws = await app.injectWS(path, { headers } as never, {
        onInit: (ws) => { ws.on('message', (data) => { frames.push(JSON.parse(String(data)) as { type: string }) }) }
      })
      return { ws, frames }
    }
    const echo = await open('/echo')
    echo.ws.send('{"type":"echo"}')
    await until(() => echo.frames.length === 1, 'the application\'s own answer')

    const byUrl = await open(`/realtime/ws?room=lobby&token=${makeToken()}`)
    const byHeader = await open('/realtime/ws?room=lobby', { Authorization: `Bearer ${makeToken({ sub: 'bea' })}` })
    const byProtocol = await open('/realtime/ws', { 'sec-websocket-protocol': 'roomcast.v1' }).catch((error: unknown) => error)
    t.match(byProtocol, { message: 'Unexpected server response: 401' }, 'without a token')
    await until(() => [byUrl, byHeader].every(({ frames }) => frames.some(({ type }) => type === 'joined')), 'both to join')
    byHeader.ws.send(JSON.stringify({ type: 'publish', room: 'lobby', text: 'unused', data: { a: 1 } }))
    await app.rooms.publish('lobby', { text: 'hi' })
    await until(() => [byUrl, byHeader].every(({ frames }) => frames.some(({ text }) => text === 'hi')), 'the message')

    byUrl.ws.terminate()
    const closed = once(byHeader.ws, 'close')
    await app.close()
    t.equal((await closed)[0], 1001, when)
  }
})
