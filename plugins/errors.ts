import type { FastifyError } from 'fastify'
import fp from 'fastify-plugin'
import { RoomcastError } from '../src/errors.ts'
import { handleError } from '../src/problem.ts'
import { ROOM_RULE } from '../src/protocol/names.ts'

/** Answers every error of the routes around it with a problem document (RFC 9457). */
export default fp(async (app) => {
  app.setErrorHandler<FastifyError>(handleError)
  app.addHook('onRoute', (route) => { route.errorHandler ??= handleError })
  app.setSchemaErrorFormatter(([fault], part) => {
    const path = `${part}${fault?.instancePath ?? ''}`
    return path === 'params/room'
      ? new RoomcastError('invalid_room', ROOM_RULE)
      : new RoomcastError('invalid_request', `${path} ${fault?.message ?? 'is invalid'}`)
  })
}, { name: 'roomcast-errors' })
