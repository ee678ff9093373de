import { isUtf8 } from 'node:buffer'
import { Ajv } from 'ajv'
import fp from 'fastify-plugin'
import { parse } from 'secure-json-parse'
import { RoomcastError } from '../src/errors.ts'

/**
 * Accepts JSON, text and bytes as request bodies. Text that is not UTF-8 is refused, where Fastify would replace the
 * invalid bytes. Bodies are validated without coercion, where Fastify would turn a number into the text that the schema
 * asks for.
 */
export default fp(async (app) => {
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body: Buffer, done) => {
    try {
      // Throws for a `__proto__` or a `constructor.prototype`.
      done(null, parse(decode(body)))
    } catch (error) {
      done(error instanceof RoomcastError ? error : new RoomcastError('invalid_json', 'The body is not valid JSON'))
    }
  })
  app.addContentTypeParser('text/plain', { parseAs: 'buffer' }, (_request, body: Buffer, done) => {
    try {
      done(null, decode(body))
    } catch (error) {
      done(error as Error)
    }
  })
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body: Buffer, done) => { done(null, body) })

  const asIs = new Ajv({ coerceTypes: false, removeAdditional: false, useDefaults: true, strict: false })
  // All parameters arrive as text.
  const coercing = new Ajv({ coerceTypes: true, removeAdditional: false, useDefaults: true, strict: false })
  app.setValidatorCompiler(({ schema, httpPart }) => (httpPart === 'body' ? asIs : coercing).compile(schema))
}, { name: 'roomcast-bodies' })

function decode (body: Buffer): string {
  if (!isUtf8(body)) throw new RoomcastError('invalid_request', 'The body is not valid UTF-8')
  return body.toString()
}
