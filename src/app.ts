import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import admission from '../plugins/admission.ts'
import bodies from '../plugins/bodies.ts'
import broker from '../plugins/broker.ts'
import config from '../plugins/config.ts'
import cors from '../plugins/cors.ts'
import entrance from '../plugins/entrance.ts'
import errors from '../plugins/errors.ts'
import hub from '../plugins/hub.ts'
import jwt from '../plugins/jwt.ts'
import openapi from '../plugins/openapi.ts'
import presence from '../plugins/presence.ts'
import redis from '../plugins/redis.ts'
import rooms from '../plugins/rooms.ts'
import shutdown from '../plugins/shutdown.ts'
import upgrades from '../plugins/upgrades.ts'
import websocket from '../plugins/websocket.ts'
import health from '../routes/health.ts'
import notFound from '../routes/not-found.ts'
import v1 from '../routes/v1/index.ts'
import ws from '../routes/ws.ts'
import type { Broker } from './broker/broker.ts'
import { type Config, InvalidConfig, readConfig } from './config.ts'
import type { Hub } from './hub/hub.ts'
import { serializeError, serializeRequest } from './log.ts'
import type { Rooms } from './rooms/rooms.ts'
import type { Shutdown } from './shutdown.ts'

export { ERRORS, type ErrorCode, type Problem, RoomcastError } from './errors.ts'
export type { HistoryPage, Occupancy, Published, StoredMessage } from './broker/broker.ts'
export type { Position } from './protocol/envelope.ts'
export type { Content } from './protocol/message.ts'
export { Grants, type GrantsClaim } from './rooms/grants.ts'
export type { Identity } from './rooms/identity.ts'
export type { HistoryOptions, Joined, PublishOptions } from './rooms/rooms.ts'
export { type Broker, type Config, type Hub, InvalidConfig, readConfig, type Rooms, type Shutdown }

declare module 'fastify' {
  interface FastifyInstance {
    /** What can be done with rooms. */
    rooms: Rooms
    /** The scope that Roomcast lives in, with its parts. */
    roomcast: Roomcast
  }
}

/** The parts of Roomcast. They are decorators of its own scope, and so out of the way of the application around it. */
export interface Roomcast {
  readonly config: Config
  readonly broker: Broker
  readonly hub: Hub
  readonly rooms: Rooms
  readonly shutdown: Shutdown
  /** Sockets that asked for an upgrade and have not got it yet. */
  readonly upgrades: ReadonlySet<Duplex>
}

export interface RoomcastOptions {
  /** Where the routes are, such as `/realtime`. */
  prefix?: string
  /** The settings; read from the environment if not given. A key for tokens is required. */
  config?: Config
  /** `/health/live` and `/health/ready`; on unless false. */
  health?: boolean
  /** `/docs` and `/openapi.json`; on unless false. */
  docs?: boolean
}

/**
 * The package's plugin. The application it is registered in gets `rooms` and `roomcast`, and WebSocket routes by
 * `@fastify/websocket` if it has none; everything else stays in a scope of its own, under `prefix`.
 */
const roomcast: FastifyPluginAsync<RoomcastOptions> = async (app, { prefix = '', config: settings = readConfig(), health: hasHealth = true, docs = true }) => {
  if (settings.keys.length === 0) throw new InvalidConfig(['JWT_SECRET or JWT_PUBLIC_KEY is required'])
  await app.register(websocket)
  await app.register(async (scope) => {
    await scope.register(config, { config: settings })
    await scope.register(jwt)
    await scope.register(redis)
    await scope.register(broker)
    await scope.register(presence)
    await scope.register(hub)
    await scope.register(rooms)
    await scope.register(shutdown)
    await scope.register(admission)
    await scope.register(entrance)
    app.decorate('rooms', scope.rooms)
    app.decorate('roomcast', scope as FastifyInstance & Roomcast)

    await scope.register(errors)
    await scope.register(bodies)
    await scope.register(cors)
    await scope.register(ws)
    await scope.register(async (plain) => {
      await plain.register(upgrades)
      if (docs) await plain.register(openapi)
      if (hasHealth) await plain.register(health)
      await plain.register(v1)
      if (scope.prefix !== '') await plain.register(notFound)
    })
  }, { prefix: normalisePrefix(prefix), logSerializers: { req: serializeRequest, err: serializeError } as never }) // the type wants strings, pino does not
}

function normalisePrefix (prefix: string): string {
  const path = prefix.replace(/^\/+|\/+$/g, '')
  return path === '' ? '' : `/${path}`
}

export default fp(roomcast, { name: 'roomcast', fastify: '5.x' })
