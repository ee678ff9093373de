import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import bodies from '../plugins/bodies.ts'
import broker from '../plugins/broker.ts'
import config, { type ConfigOptions } from '../plugins/config.ts'
import cors from '../plugins/cors.ts'
import errors from '../plugins/errors.ts'
import hub from '../plugins/hub.ts'
import jwt from '../plugins/jwt.ts'
import openapi from '../plugins/openapi.ts'
import rooms from '../plugins/rooms.ts'
import shutdown from '../plugins/shutdown.ts'
import upgrades from '../plugins/upgrades.ts'
import websocket from '../plugins/websocket.ts'
import health from '../routes/health.ts'
import v1 from '../routes/v1/index.ts'
import ws from '../routes/ws.ts'
import { serializeError, serializeRequest } from './log.ts'

export interface RoomcastOptions extends ConfigOptions {
  /** Where the routes are, such as `/realtime`. */
  prefix?: string
}

/** The package's plugin: the decorators on the application it is registered in, the routes under `prefix`. */
const roomcast: FastifyPluginAsync<RoomcastOptions> = async (app, { prefix = '', ...options }) => {
  await app.register(config, options)
  await app.register(jwt)
  await app.register(broker)
  await app.register(hub)
  await app.register(rooms)
  await app.register(websocket)
  await app.register(shutdown)

  await app.register(async (scope) => {
    await scope.register(errors)
    await scope.register(bodies)
    await scope.register(cors)
    await scope.register(ws)
    await scope.register(async (plain) => {
      await plain.register(upgrades)
      await plain.register(openapi)
      await plain.register(health)
      await plain.register(v1)
    })
  }, { prefix, logSerializers: { req: serializeRequest, err: serializeError } as never }) // the type wants strings, pino does not
}

export default fp(roomcast, { name: 'roomcast', fastify: '5.x' })
