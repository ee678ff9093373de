import type { FastifyError } from 'fastify'
import fp from 'fastify-plugin'
import { handleError } from '../src/problem.ts'

/** Answers every error of the routes around it with a problem document (RFC 9457). */
export default fp(async (app) => {
  app.setErrorHandler<FastifyError>(handleError)
}, { name: 'roomcast-errors' })
