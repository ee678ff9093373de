import { Ajv, type ErrorObject } from 'ajv'
import { TRUSTED_SCHEMAS, Type } from '../protocol/schema.ts'
import type { HistoryPolicy } from '../broker/broker.ts'
import { type PolicyRule, RoomPolicies } from './policies.ts'

/** The content of `ROOMS_FILE`. An unknown property is refused as a typing error. */
const Rules = Type.Array(Type.Object({
  pattern: Type.String({ minLength: 1 }),
  history: Type.Optional(Type.Union([
    Type.Object({
      size: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
      ttlSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
    }, { additionalProperties: false }),
    Type.Literal(false)
  ])),
  presence: Type.Optional(Type.Boolean()),
  publish: Type.Optional(Type.Union([Type.Literal('clients'), Type.Literal('server')]))
}, { additionalProperties: false }))

/**
 * Reads the policies of rooms; throws an `Error` whose message follows the name of the setting.
 *
 * @param json the rules; undefined for none
 * @param history the history of rooms without a rule for it
 */
export function readPolicies (json: string | undefined, history: HistoryPolicy): RoomPolicies {
  if (json === undefined) return new RoomPolicies(history)
  const rules: unknown = JSON.parse(json)
  const validate = new Ajv({ ...TRUSTED_SCHEMAS, allErrors: true }).compile<PolicyRule[]>(Rules)
  if (!validate(rules)) throw new Error(`has ${describeFaults(validate.errors ?? [])}`)
  return new RoomPolicies(history, rules)
}

/** The first fault of each property; the others follow from it. */
function describeFaults (errors: ErrorObject[]): string {
  const faults = new Map<string, string>()
  for (const { instancePath, message, params } of errors) {
    const property = instancePath.split('/').slice(0, 3).join('/')
    const what = typeof params.additionalProperty === 'string' ? ` (${params.additionalProperty})` : ''
    if (!faults.has(property)) faults.set(property, `${instancePath === '' ? 'something that' : instancePath} ${message}${what}`)
  }
  return [...faults.values()].join(', ')
}
