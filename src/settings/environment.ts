import { checkNames } from './names.ts'
import type { Findings } from './findings.ts'

/** The meaning of `*` as `DEFAULT_GRANTS`. */
export const EVERY_ROOM = '{"**":["join","publish","history","members"]}'

/** Settings without a default in production: the operator decides about access there. The values say what to write. */
export const REQUIRED_IN_PRODUCTION = {
  DEFAULT_GRANTS: `grants in JSON, {} for none, or * for ${EVERY_ROOM}`,
  ALLOWED_ORIGINS: 'the origins of your pages, or * for any'
}

/** The environments of Node that the service knows. */
const NODE_ENVS = ['production', 'development', 'test']
/** Settings that hold a list. */
const LISTS = ['JWT_ALGORITHMS', 'ALLOWED_ORIGINS', 'REDIS_SENTINELS', 'REDIS_CLUSTER', 'TRUST_PROXY'] as const

/** Settings of the contract that this version does not support yet. They are refused, so that no operator relies on them. */
const NOT_YET = ['JWKS_URL', 'API_KEYS']

interface EnvironmentOptions {
  /** The names of the settings. */
  settings: readonly string[]
  production: boolean
  /** The names in `.env`, if it holds nothing but settings. */
  file: ReadonlySet<string>
}

/** Checks the variables as a whole: the environment of Node, the names, and the settings that production requires. */
export function checkEnvironment (
  given: Readonly<Record<string, string>>,
  { settings, production, file }: EnvironmentOptions,
  findings: Findings
): void {
  const { NODE_ENV } = given
  if (NODE_ENV !== undefined && !NODE_ENVS.includes(NODE_ENV)) {
    findings.faults.push(`NODE_ENV must be ${NODE_ENVS.join(', ')} or unset, and is ${JSON.stringify(NODE_ENV)}`)
  }
  for (const name of NOT_YET) if (name in given) findings.faults.push(`${name} is not supported by this version`)
  for (const [name, values] of Object.entries(REQUIRED_IN_PRODUCTION)) {
    if (production && !(name in given)) findings.faults.push(`${name} must be set in production: write ${values}`)
  }
  for (const name of LISTS) {
    const text = given[name]
    if (text !== undefined && splitList(text).length === 0) findings.faults.push(`${name} has no entry: write one, or remove it`)
  }
  checkNames(given, { settings: ['NODE_ENV', ...settings], others: NOT_YET, production, file }, findings)
}

/** Splits a list at its commas. */
export function splitList (value: string): string[] {
  return value.split(',').map((item) => item.trim()).filter((item) => item !== '')
}
