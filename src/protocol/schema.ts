import type { Type as TypeBox } from 'typebox'

/*
 * TypeBox's builders of JSON Schema, those in use here, with TypeBox's types. At run time TypeBox would load 373
 * modules, which is a third of the start of the service, for schemas that are plain objects.
 */

/**
 * Options of an Ajv that compiles only schemas of this project. Tests check these schemas against the meta-schema, so that
 * no process has to.
 */
export const TRUSTED_SCHEMAS = { meta: false, validateSchema: false }

/** Copies that `Type.Object` does not require. */
const optional = new WeakSet<object>()

/** The builders of TypeBox that the project uses. */
type Builder = 'Array' | 'Boolean' | 'Integer' | 'Literal' | 'Null' | 'Object' | 'Optional' | 'String' | 'Union' | 'Unknown'

const build = (keywords: object) => (options?: object) => ({ ...keywords, ...options })

/** Builds schemas as TypeBox does: plain JSON Schema, whose TypeScript type is `Static<typeof schema>`. */
export const Type = {
  Array: (items: object, options?: object) => ({ type: 'array', items, ...options }),
  Boolean: build({ type: 'boolean' }),
  Integer: build({ type: 'integer' }),
  Literal: (value: string | number | boolean, options?: object) => ({ type: typeof value, const: value, ...options }),
  Null: build({ type: 'null' }),
  Object: (properties: Record<string, object>, options?: object) => {
    const required = Object.keys(properties).filter((name) => !optional.has(properties[name] as object))
    return { type: 'object', ...(required.length > 0 && { required }), properties, ...options }
  },
  Optional: (schema: object) => {
    const copy = { ...schema }
    optional.add(copy)
    return copy
  },
  String: build({ type: 'string' }),
  Union: (anyOf: object[], options?: object) => ({ anyOf, ...options }),
  Unknown: build({})
} as unknown as Pick<typeof TypeBox, Builder>
