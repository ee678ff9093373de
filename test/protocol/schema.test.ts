import { Ajv } from 'ajv'
import { test } from 'tap'
import { Type as TypeBox } from 'typebox'
import { ENVIRONMENT } from '../../src/config.ts'
import { CLIENT_FRAMES, SERVER_FRAMES } from '../../src/protocol/frames.ts'
import { Type } from '../../src/protocol/schema.ts'
import { startService } from '../support/service.ts'

/** A schema with every builder, in the ways that they are combined. */
function build (types: typeof Type): object {
  const { Boolean, Integer, Literal, Null, Object, Optional, String, Union, Unknown } = types
  const name = String({ minLength: 1, examples: ['ada'] })
  const parts = Object(
    { name, also: Optional(name), maybe: Optional({ ...name, description: 'A copy.' }) },
    { description: 'Some are required.' }
  )
  return Object({
    ...parts.properties,
    list: types.Array(parts, { maxItems: 3 }),
    tags: types.Array(String()),
    none: Object({}),
    all: Optional(Object({ flag: Optional(Boolean()) })),
    count: Integer({ minimum: 0 }),
    kind: Literal('a', { description: 'A constant.' }),
    off: Union([Literal(false), Literal(1), Null(), Unknown({ description: 'Anything.' })], { examples: [false] })
  }, { additionalProperties: false })
}

test('the builders make the schemas that TypeBox makes', (t) => {
  t.equal(JSON.stringify(build(Type)), JSON.stringify(build(TypeBox)))
  t.end()
})

test('every schema of the service is valid by the meta-schema, which no process checks at its start', async (t) => {
  const ajv = new Ajv({ strict: false })
  const check = (schema: unknown, name: string): void => { t.ok(ajv.validateSchema(schema as object), `${name}: ${ajv.errorsText()}`) }
  for (const frames of [CLIENT_FRAMES, SERVER_FRAMES, ENVIRONMENT]) for (const [name, schema] of Object.entries(frames)) check(schema, name)
  let parts = 0
  await startService(t, {}, (app) => {
    app.addHook('onRoute', ({ url, schema = {} }) => {
      for (const part of ['body', 'headers', 'params', 'querystring'] as const) {
        if (schema[part] === undefined) continue
        // A body may have one schema for each content type.
        const { content } = schema[part] as { content?: Record<string, { schema: object }> }
        const schemas = content === undefined ? [schema[part]] : Object.values(content).map(({ schema }) => schema)
        for (const one of schemas) check(one, `${part} of ${url}`)
        parts++
      }
    })
  })
  t.ok(parts > 10)
})
