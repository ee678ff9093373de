import { isUtf8 } from 'node:buffer'
import { Ajv, type AnySchema, type ValidateFunction } from 'ajv'
import fp from 'fastify-plugin'
import { parse } from 'secure-json-parse'
import { RoomcastError } from '../src/errors.ts'
import { TRUSTED_SCHEMAS } from '../src/protocol/schema.ts'

/**
 * Accepts JSON, text and bytes as request bodies. Text that is not UTF-8 is refused, where Fastify would replace the
 * invalid bytes. Bodies are validated without coercion, where Fastify would turn a number into the text that the schema
 * asks for.
 */
export default fp(async (app) => {
  app.removeAllContentTypeParsers() // Also those of the application.
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

  const asIs = new Ajv({ ...TRUSTED_SCHEMAS, coerceTypes: false, removeAdditional: false, useDefaults: true, strict: false })
  // All parameters arrive as text.
  const coercing = new Ajv({ ...TRUSTED_SCHEMAS, coerceTypes: true, removeAdditional: false, useDefaults: true, strict: false })
  app.setValidatorCompiler(({ schema, httpPart }) => compileWhenNeeded(httpPart === 'body' ? asIs : coercing, schema))
}, { name: 'roomcast-bodies' })

/** Compiles a schema for the first value, and not at the start. */
function compileWhenNeeded (ajv: Ajv, schema: AnySchema): ValidateFunction {
  let compiled: ValidateFunction | undefined
  const validate = (value: unknown): boolean => {
    compiled ??= ajv.compile(schema)
    const isValid = compiled(value)
    validate.errors = compiled.errors
    return isValid
  }
  validate.errors = undefined as ValidateFunction['errors']
  return validate as ValidateFunction
}

function decode (body: Buffer): string {
  if (!isUtf8(body)) throw new RoomcastError('invalid_request', 'The body is not valid UTF-8')
  return body.toString()
}
