import { isUtf8 } from 'node:buffer'
import { Ajv, type AnySchema, type ValidateFunction } from 'ajv'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { RoomcastError } from '../src/errors.ts'
import { isChunkedAlone, isIdentityEncoding, isUtf8Charset } from '../src/protocol/body-headers.ts'
import { parseJson } from '../src/protocol/json.ts'
import { TRUSTED_SCHEMAS } from '../src/protocol/schema.ts'

/**
 * Accepts JSON, text and bytes as request bodies. A body that is compressed, or in another charset than UTF-8, is refused, where
 * Fastify would decode it wrongly. Text that is not UTF-8 is refused, where Fastify would replace the invalid bytes.
 * The routes check the rules of `src/protocol/json.ts`. Bodies are validated without coercion, where Fastify would turn a number
 * into the text that the schema asks for.
 */
export default fp(async (app) => {
  // After the token is checked, and before anything is read.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    checkBodyHeaders(request)
    done(null, payload)
  })
  app.removeAllContentTypeParsers() // Also those of the application.
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    try {
      done(null, parseJson(decode(request, body)))
    } catch (error) {
      done(error instanceof RoomcastError ? error : new RoomcastError('invalid_json', 'The body is not valid JSON'))
    }
  })
  app.addContentTypeParser('text/plain', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    try {
      done(null, decode(request, body))
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

/** Refuses bodies that the service would have to decompress, or whose type is not certain. Requests without a body may have any headers. */
function checkBodyHeaders ({ method, headers, raw: { rawHeaders } }: FastifyRequest): void {
  const { 'content-encoding': contentEncoding, 'transfer-encoding': transferEncoding, 'content-length': length } = headers
  const hasBody = (method !== 'GET' && method !== 'HEAD') || transferEncoding !== undefined || Number(length) > 0
  if (!hasBody) return
  if (rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type').length > 1) {
    throw new RoomcastError('unsupported_media_type', 'A request has one Content-Type') // Node keeps the first and ignores the others.
  }
  if (contentEncoding !== undefined && !isIdentityEncoding(contentEncoding)) {
    throw new RoomcastError('unsupported_media_type', 'Content-Encoding is not supported; send the body as it is')
  }
  if (transferEncoding !== undefined && !isChunkedAlone(transferEncoding)) {
    throw new RoomcastError('unsupported_media_type', 'Transfer-Encoding has to be chunked alone; send the body as it is')
  }
}

function decode ({ headers }: FastifyRequest, body: Buffer): string {
  if (!isUtf8Charset(headers['content-type'] ?? '')) {
    throw new RoomcastError('unsupported_media_type', 'The charset is not supported; send UTF-8')
  }
  if (!isUtf8(body)) throw new RoomcastError('invalid_request', 'The body is not valid UTF-8')
  return body.toString()
}
