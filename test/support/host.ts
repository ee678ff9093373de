import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import roomcast, { readConfig, type RoomcastOptions } from '../../src/app.ts'
import { call, type Service } from './service.ts'
import { SECRET } from './token.ts'
import { type Client, connect, type ConnectOptions } from './websocket-client.ts'

/** An application with Roomcast in it. */
export interface Host extends Service {
  /** Roomcast as clients see it: under its prefix. */
  realtime: Service
}

/** The options of an application with Roomcast in it. */
export interface HostOptions extends RoomcastOptions {
  /** The options of Fastify. */
  fastify?: FastifyServerOptions & { http2?: boolean, https?: object }
  /** Prepares the application before Roomcast is registered, and after. */
  before?: (app: FastifyInstance) => unknown
  after?: (app: FastifyInstance) => unknown
}

/** Builds an application with Roomcast in it; closes it when the test is over. */
export async function buildHost (
  t: Test,
  { fastify, before, after, ...options }: HostOptions = {}
): Promise<{ app: FastifyInstance, log: string[] }> {
  const log: string[] = []
  const stream = new Writable({ write (chunk, _encoding, done) { log.push(String(chunk)); done() } })
  const app = Fastify({ logger: { level: 'trace', stream }, ...fastify } as FastifyServerOptions) as FastifyInstance
  t.teardown(async () => { await app.close() })
  await before?.(app)
  await app.register(roomcast, { prefix: '/realtime', config: readConfig({ JWT_SECRET: SECRET }), ...options })
  await after?.(app)
  return { app, log }
}

/** Starts an application with Roomcast in it on a free port of 127.0.0.1; closes it when the test is over. */
export async function startHost (t: Test, options: HostOptions = {}): Promise<Host> {
  const { app, log } = await buildHost(t, options)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const service = { app, port, log, url: `http${options.fastify?.https === undefined ? '' : 's'}://127.0.0.1:${port}` }
  return { ...service, realtime: { ...service, url: `${service.url}/realtime` } }
}

/** Joins a room, publishes to it over REST, and receives the message. */
export async function checkRoomcast (t: Test, { realtime }: Host, options?: ConnectOptions): Promise<Client> {
  const client = await connect(realtime, options)
  t.match(await client.join('lobby'), { type: 'joined' })
  t.match(await call(realtime, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'hi' } }), { status: 201, body: { audience: 1 } })
  t.match(await client.next('message'), { text: 'hi', room: 'lobby' })
  return client
}
