import { Ajv, type ValidateFunction } from 'ajv'
import type { Static, TSchema } from 'typebox'
import { TRUSTED_SCHEMAS, Type } from '../protocol/schema.ts'

/** Reads variables by a table of schemas. Variables are texts: numbers and booleans are read from them. */
export class VariableReader<Table extends Record<string, TSchema>> {
  readonly #table: Table
  /** Compiled when variables are read for the first time. */
  #validate: ValidateFunction | undefined

  constructor (table: Table) {
    this.#table = table
  }

  /**
   * Reads the variables of the table, and ignores all others. A missing or bad one gets its default, so that the others
   * are checked as well and every fault is named at once.
   */
  read (given: Readonly<Record<string, string>>, faults: string[]): Static<ReturnType<typeof Type.Object<Table>>> {
    const validate = this.#validate ??= this.#compile()
    const variables = { ...given }
    const wrong = new Set<string>()
    if (!validate(variables)) {
      for (const { instancePath, message, params } of validate.errors ?? []) {
        const name = instancePath.slice(1)
        const allowed: unknown = params.allowedValues
        wrong.add(name)
        faults.push(`${name} ${message}${Array.isArray(allowed) ? ` (${allowed.join(', ')})` : ''}`)
      }
    }
    if (wrong.size === 0) return variables as never
    const rest = Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.has(name)))
    validate(rest)
    return rest as never
  }

  #compile (): ValidateFunction {
    const schema = Type.Object(this.#table, { additionalProperties: false })
    const options = { allErrors: true, coerceTypes: true, removeAdditional: true, useDefaults: true }
    return new Ajv({ ...TRUSTED_SCHEMAS, code: { optimize: false }, ...options }).compile(schema)
  }
}
