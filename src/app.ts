import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import bodies from '../plugins/bodies.ts'
import broker from '../plugins/broker.ts'
import config from '../plugins/config.ts'
import connectionHeaders from '../plugins/connection-headers.ts'
import connections from '../plugins/connections.ts'
import continuity from '../plugins/continuity.ts'
import cors from '../plugins/cors.ts'
import errors from '../plugins/errors.ts'
import eventStreams from '../plugins/event-streams.ts'
import historyReads from '../plugins/history-reads.ts'
import httpConnections from '../plugins/http-connections.ts'
import http2Sessions from '../plugins/http2-sessions.ts'
import hub from '../plugins/hub.ts'
import jwt from '../plugins/jwt.ts'
import limits from '../plugins/limits.ts'
import memberships from '../plugins/memberships.ts'
import noUpgrades from '../plugins/no-upgrades.ts'
import openapi from '../plugins/openapi.ts'
import pendingUpgrades from '../plugins/pending-upgrades.ts'
import presence from '../plugins/presence.ts'
import publishRate from '../plugins/publish-rate.ts'
import redis from '../plugins/redis.ts'
import requests from '../plugins/requests.ts'
import rooms from '../plugins/rooms.ts'
import serialization from '../plugins/serialization.ts'
import shutdown from '../plugins/shutdown.ts'
import websocketServer from '../plugins/websocket-server.ts'
import webSockets from '../plugins/websockets.ts'
import health from '../routes/health.ts'
import notFound from '../routes/not-found.ts'
import otherMethods from '../routes/other-methods.ts'
import v1 from '../routes/v1/index.ts'
import ws from '../routes/ws.ts'
import type { Broker } from './broker/broker.ts'
import { type Config, InvalidConfig, readConfig } from './config.ts'
import type { HttpConnections } from './connections/http-connections.ts'
import type { PendingUpgrades } from './connections/pending-upgrades.ts'
import type { Shutdown } from './hub/drain.ts'
import type { Hub } from './hub/hub.ts'
import { serializeError, serializeRequest } from './log.ts'
import type { Continuity } from './rooms/continuity.ts'
import { ApplicationRooms } from './rooms/application-rooms.ts'

export { ERRORS, type ErrorCode, RoomcastError } from './errors.ts'
export type { Problem } from './problem.ts'
export type { HistoryPage, Occupancy, Published, StoredMessage } from './broker/broker.ts'
export type { Position } from './protocol/position.ts'
export type { Content } from './protocol/message.ts'
export type { GrantsClaim } from './auth/grants.ts'
export type { Caller } from './auth/identity.ts'
export type { ApplicationRooms } from './rooms/application-rooms.ts'
export type { ListOptions, RoomList, RoomSummary } from './rooms/rooms.ts'
export type {
  ConnectionClosed, ConnectionOpened, Drain, GapClosed, GapFound, MessageDelivered, MessagePublished, RoomMembership,
  RoomOccupancy, RoomReset
} from './events/index.ts'
export { type Broker, type Config, type Continuity, type Hub, InvalidConfig, readConfig, type Shutdown }

declare module 'fastify' {
  interface FastifyInstance {
    /** The rooms as the application uses them; `rooms.as(…)` for a user. The option `decorator` gives another name. */
    rooms: ApplicationRooms
    /** The scope that Roomcast lives in, with its parts. */
    roomcast: Roomcast
  }
}

/** The parts of Roomcast. They are decorators of Roomcast's scope, so that they do not conflict with the application's decorators. */
export interface Roomcast {
  readonly config: Config
  readonly broker: Broker
  readonly hub: Hub
  readonly continuity: Continuity
  readonly shutdown: Shutdown
  /** The HTTP connections of the application's server. */
  readonly httpConnections: HttpConnections
  /** Sockets between their request for an upgrade and its end. */
  readonly pendingUpgrades: PendingUpgrades
}

export interface RoomcastOptions {
  /** Where the routes are, such as `/realtime`. */
  prefix?: string
  /** The settings, or the variables to read them from; the environment if not given. A key for tokens is required. */
  config?: Config | Record<string, string | undefined>
  /** The name of the application's decorator that holds the rooms, if the application already has `rooms`. */
  decorator?: string
  /** `/health/live` and `/health/ready`; on unless false. */
  health?: boolean
  /** `/docs` and `/openapi.json`; as the setting `DOCS` says if not given. */
  docs?: boolean
}

/**
 * The package's plugin. The application it is registered in gets `rooms` (or the option `decorator`) and `roomcast`, and WebSocket
 * routes by `@fastify/websocket` if it has none; everything else stays in a separate scope, under `prefix`.
 */
const roomcast: FastifyPluginAsync<RoomcastOptions> = async (app, options) => {
  const { prefix = '', decorator = 'rooms', health: hasHealth = true } = options
  const settings = toConfig(options.config)
  const { docs = settings.DOCS } = options
  for (const name of [decorator, 'roomcast']) checkDecorator(app, name)
  if (settings.keys.length === 0) throw new InvalidConfig(['JWT_SECRET or JWT_PUBLIC_KEY is required'])
  await app.register(websocketServer)
  await app.register(async (scope) => {
    await scope.register(config, { config: settings })
    await scope.register(jwt)
    await scope.register(redis)
    await scope.register(broker)
    await scope.register(presence)
    await scope.register(hub)
    await scope.register(historyReads)
    await scope.register(continuity)
    await scope.register(memberships)
    await scope.register(rooms)
    await scope.register(httpConnections)
    await scope.register(pendingUpgrades)
    await scope.register(shutdown)
    await scope.register(http2Sessions)
    await scope.register(limits)
    await scope.register(connections)
    await scope.register(webSockets)
    await scope.register(eventStreams)
    await scope.register(publishRate)
    await scope.register(requests)
    app.decorate(decorator, new ApplicationRooms(scope.roomsFor, settings.MAX_MESSAGE_BYTES))
    app.decorate('roomcast', scope as FastifyInstance & Roomcast)

    await scope.register(errors)
    await scope.register(bodies)
    await scope.register(serialization)
    await scope.register(cors)
    await scope.register(connectionHeaders)
    await scope.register(ws)
    await scope.register(async (plain) => {
      await plain.register(noUpgrades)
      if (docs) await plain.register(openapi)
      await plain.register(otherMethods, { routes: hasHealth ? [health, v1] : [v1] })
      if (scope.prefix !== '') await plain.register(notFound)
    })
  }, {
    prefix: normalisePrefix(prefix),
    logSerializers: { req: serializeRequest, err: serializeError } as never // The type wants strings, pino does not.
  })
}

function toConfig (config: RoomcastOptions['config']): Config {
  // Only settings that were read have policies.
  return typeof config?.policies === 'object' ? config as Config : readConfig(config as Record<string, string | undefined> | undefined)
}

/** Throws for a taken name before anything starts, because Fastify would not name the remedy. */
function checkDecorator (app: FastifyInstance, name: string): void {
  if (!app.hasDecorator(name)) return
  const remedy = name === 'roomcast' ? 'register Roomcast once in an application' : 'choose another name by the option `decorator`'
  throw Object.assign(new Error(`The application already has the decorator ${name}; ${remedy}`), { code: 'FST_ERR_DEC_ALREADY_PRESENT' })
}

function normalisePrefix (prefix: string): string {
  return prefix.split('/').map((segment) => segment === '' ? '' : `/${segment}`).join('')
}

export default fp(roomcast, { name: 'roomcast', fastify: '5.x' })
