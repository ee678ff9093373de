import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { parseEnv } from 'node:util'
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { Static, TSchema } from 'typebox'
import { TRUSTED_SCHEMAS, Type } from './protocol/schema.ts'
import type { RedisSettings } from './redis/settings.ts'
import { readRedisUrl, type RedisUrl, withoutPassword } from './redis/url.ts'
import { Grants } from './rooms/grants.ts'
import { type PolicyRule, RoomPolicies } from './rooms/policies.ts'

const list = (description: string, initial = '') => Type.String({ description, default: initial })
const text = (description: string) => Type.Optional(Type.String({ description, minLength: 1 }))
const count = (description: string, initial: number) => Type.Integer({ description, default: initial, minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** The environment, key by key. `.env.example` and `docs/configuration.md` list the same; a test compares them. */
export const ENVIRONMENT = {
  HOST: Type.String({ description: 'Address to listen on; 0.0.0.0 for every one.', default: '127.0.0.1', minLength: 1 }),
  PORT: Type.Integer({ description: 'Port to listen on; 0 takes a free one.', default: 3000, minimum: 0, maximum: 65535 }),
  LOG_LEVEL: Type.String({ description: 'How much is logged: fatal, error, warn, info, debug, trace or silent.', default: 'info', enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] }),
  TRUST_PROXY: Type.String({ description: 'Whose X-Forwarded-For is believed: true, false, a number of proxies, or addresses and networks, separated by commas.', default: 'false' }),
  TLS_CERT_FILE: text('Certificate (PEM) to serve TLS with; goes with TLS_KEY_FILE.'),
  TLS_KEY_FILE: text('Key (PEM) of the certificate.'),

  JWT_SECRET: text('Secret that HS256 tokens are signed with, at least 32 bytes in production; without any key, a development server on a loopback address makes one up.'),
  JWT_SECRET_PREVIOUS: text('The secret before, still accepted while it is being replaced.'),
  JWT_PUBLIC_KEY: text('Public key (PEM, line breaks may be written as \\n) that RS, PS, ES or EdDSA tokens are verified with.'),
  JWT_ALGORITHMS: list('Algorithms accepted, separated by commas; by default HS256 for a secret and those that fit the public key.'),
  JWT_ISSUER: text('The iss that tokens have to carry.'),
  JWT_AUDIENCE: text('The aud that tokens have to carry.'),
  JWT_COOKIE: text('Name of a cookie that the token may come in; needs ALLOWED_ORIGINS.'),
  DEFAULT_GRANTS: Type.String({ description: 'Grants (JSON) of tokens without a rooms claim.', default: '{"**":["join","publish","history","members"]}' }),
  MAX_TOKEN_LIFETIME_SECONDS: Type.Integer({ description: 'A connection lasts this long at the most, whatever its token says.', default: 30 * 86_400, minimum: 1, maximum: 10 * 366 * 86_400 }),
  ALLOWED_ORIGINS: list('Origins that browsers may come from (also CORS), such as https://app.example.com, separated by commas; * is any.', '*'),

  REDIS_URL: text('Redis (redis:// or rediss://), which connects the instances; without any Redis, an instance is alone and keeps everything in memory. Beside REDIS_SENTINELS or REDIS_CLUSTER it only gives user, password, database and TLS.'),
  REDIS_SENTINELS: list('Sentinels (host:port, or redis:// with their user and password), separated by commas; goes with REDIS_SENTINEL_NAME.'),
  REDIS_SENTINEL_NAME: text('What the sentinels call the master.'),
  REDIS_CLUSTER: list('Some nodes of a Redis Cluster (host:port), separated by commas.'),
  REDIS_PREFIX: Type.String({ description: 'In front of everything in Redis; instances with the same prefix belong together.', default: 'roomcast:', pattern: '^[^{}\\s]*$' }),
  REDIS_DURABLE: Type.Boolean({ description: 'Redis never forgets what it has acknowledged (one Redis, appendfsync always, no failover): rooms go on after it was restarted, instead of starting new epochs.', default: false }),

  HISTORY_SIZE: count('Messages remembered per room; 0 turns history off.', 1_000),
  HISTORY_TTL_SECONDS: count('How long a message is remembered; 0 turns history off.', 3_600),
  ROOMS_FILE: text('A JSON file with what is different in some rooms: history, presence, who publishes.'),
  MAX_HISTORY_BYTES: count('Bytes of history in all rooms together, in memory; 0 is no limit.', 256 * 1024 * 1024),
  MAX_MESSAGE_BYTES: Type.Integer({ description: 'Size of a WebSocket message or a request body; a batch may be 16 times that; 0 is no limit.', default: 64 * 1024, minimum: 0, maximum: 1024 ** 3 }),
  MAX_QUEUE_BYTES: count('Bytes that may wait for one connection before it is closed as a slow consumer; 0 is no limit.', 1024 * 1024),
  MAX_ROOMS_PER_CONNECTION: count('Rooms one connection may join; 0 is no limit.', 128),
  MAX_CONNECTIONS: count('Connections on this instance; 0 is no limit.', 0),
  MAX_CONNECTIONS_PER_USER: count('Connections of one user on this instance; 0 is no limit.', 0),
  MAX_CONNECTIONS_PER_ADDRESS: count('Connections from one address on this instance; 0 is no limit.', 0),
  UPGRADES_PER_MINUTE: count('New connections a minute from one address; 0 is no limit.', 0),
  MESSAGE_RATE: count('Messages a second from one connection; 0 is no limit.', 100),
  MESSAGE_BURST: count('Messages at once from one connection.', 200),
  HEARTBEAT_SECONDS: count('Time between pings; a client that does not answer within 10 seconds is closed; 0 sends none.', 25),

  DRAIN_DELAY_MS: count('After SIGTERM, time for load balancers to notice before connections are closed.', 0),
  DRAIN_WINDOW_MS: count('Time over which connections are closed.', 5_000),
  DRAIN_DEADLINE_MS: Type.Integer({ description: 'Going down takes no longer than this; then the process exits with 1.', default: 30_000, minimum: 1, maximum: 3_600_000 })
} as const satisfies Record<string, TSchema>

/** Settings of the contract that this version does not have yet: refused, so that nobody relies on them. */
const NOT_YET = ['JWKS_URL', 'API_KEYS']

const Environment = Type.Object(ENVIRONMENT, { additionalProperties: false })
/** Compiled when settings are read for the first time. */
let validateEnvironment: ValidateFunction<Static<typeof Environment>> | undefined

/** The content of `ROOMS_FILE`. A property that is not known is a slip, and refused. */
const RoomsFile = Type.Array(Type.Object({
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
type Settings = Omit<Static<typeof Environment>, 'JWT_ALGORITHMS' | 'ALLOWED_ORIGINS' | 'DEFAULT_GRANTS' | 'TRUST_PROXY' | 'REDIS_URL' | 'REDIS_SENTINELS' | 'REDIS_SENTINEL_NAME' | 'REDIS_CLUSTER' | 'REDIS_DURABLE' | 'ROOMS_FILE' | 'TLS_CERT_FILE' | 'TLS_KEY_FILE'>

/** A key that tokens are verified with, and the algorithms it is pinned to. */
export interface VerificationKey {
  name: 'secret' | 'previous' | 'public'
  /** The secret, or a public key as PEM. */
  key: string
  algorithms: Algorithm[]
}

export type Algorithm = 'HS256' | 'HS384' | 'HS512' | 'RS256' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512' | 'ES256' | 'ES384' | 'ES512' | 'EdDSA'

const HS: readonly Algorithm[] = ['HS256', 'HS384', 'HS512']
const RSA: readonly Algorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const CURVES: Record<string, Algorithm> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }

/** The settings, read and checked. */
export interface Config extends Settings {
  /** At least one. */
  keys: VerificationKey[]
  /** The secret was made up for this process, so that a newcomer has a token. */
  ephemeralSecret: boolean
  defaultGrants: unknown
  /** Normalised; `*` is any. */
  allowedOrigins: '*' | ReadonlySet<string>
  /** As Fastify takes it; a number of proxies is a function there. */
  trustProxy: boolean | string[] | ((address: string, hop: number) => boolean)
  tls: { cert: Buffer, key: Buffer } | undefined
  /** How rooms are kept. */
  policies: RoomPolicies
  /** Undefined where the instance is alone. */
  redis: RedisSettings | undefined
}

/** Settings that cannot be used; the message names every fault, in one line. */
export class InvalidConfig extends Error {
  override readonly name = 'InvalidConfig'

  constructor (faults: string[]) {
    super(`Invalid configuration: ${faults.join('; ')}`)
  }
}

/**
 * Reads the settings; throws `InvalidConfig`.
 *
 * @param environment read instead of `process.env` and `.env`
 * @param standalone for the service by itself, which in development makes up a secret if it has none, and tells it
 */
export function readConfig (environment?: Record<string, string | undefined>, { standalone = false } = {}): Config {
  const faults: string[] = []
  const given = environment ?? readProcessEnvironment()
  const settings = readEnvironment(given, faults)
  const read = <T>(name: string, value: () => T): T | undefined => {
    try {
      return value()
    } catch (error) {
      // What was not JSON is quoted there, with its line breaks.
      faults.push(`${name} ${(error as Error).message.replace(/\s+/g, ' ')}`)
      return undefined
    }
  }

  const production = given.NODE_ENV === 'production'
  const keys = readKeys(settings, production, faults)
  const ephemeralSecret = standalone && keys.length === 0 && !production && isLoopback(settings.HOST) &&
    settings.JWT_SECRET === undefined && settings.JWT_PUBLIC_KEY === undefined
  if (ephemeralSecret) keys.push({ name: 'secret', key: randomBytes(32).toString('base64url'), algorithms: ['HS256'] })
  else if (settings.JWT_SECRET === undefined && settings.JWT_PUBLIC_KEY === undefined) {
    faults.push('JWT_SECRET or JWT_PUBLIC_KEY is required (only the service by itself, in development, on a loopback address, goes without)')
  }

  const defaultGrants = read('DEFAULT_GRANTS', () => {
    const grants: unknown = JSON.parse(settings.DEFAULT_GRANTS)
    Grants.compile(grants, 'somebody')
    return grants
  })
  const allowedOrigins = read('ALLOWED_ORIGINS', () => readOrigins(splitList(settings.ALLOWED_ORIGINS)))
  if (settings.JWT_COOKIE !== undefined && allowedOrigins === '*') faults.push('JWT_COOKIE needs ALLOWED_ORIGINS: any page could use the cookie')
  const trustProxy = read('TRUST_PROXY', () => readTrustProxy(settings.TRUST_PROXY))
  const tls = read('TLS_CERT_FILE', () => readTls(settings.TLS_CERT_FILE, settings.TLS_KEY_FILE))
  const redis = readRedis(settings, faults)
  const policies = read('ROOMS_FILE', () => readPolicies(settings))
  if (faults.length > 0) throw new InvalidConfig(faults)
  return { ...settings, keys, ephemeralSecret, defaultGrants, allowedOrigins: allowedOrigins ?? '*', trustProxy: trustProxy ?? false, tls, policies: policies as RoomPolicies, redis }
}

/** The one spelling of an origin (RFC 6454, section 6.2): lower case, no default port. Undefined if it is none. */
export function normaliseOrigin (origin: string): string | undefined {
  if (!URL.canParse(origin)) return undefined
  const url = new URL(origin)
  return url.origin === 'null' || url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '' ? undefined : url.origin
}

function readEnvironment (given: Record<string, string | undefined>, faults: string[]): Static<typeof Environment> {
  // An empty variable is what compose files and CI make of one that is not set.
  const data = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== ''))
  for (const name of NOT_YET) if (name in data) faults.push(`${name} is not supported by this version`)

  // Variables are texts: numbers and booleans are read from them. Unknown variables are ignored, missing ones have their defaults.
  const isEnvironment = validateEnvironment ??= new Ajv({ ...TRUSTED_SCHEMAS, code: { optimize: false }, allErrors: true, coerceTypes: true, removeAdditional: true, useDefaults: true }).compile(Environment)
  const settings: unknown = { ...data }
  if (isEnvironment(settings)) return settings
  for (const { instancePath, message, params } of isEnvironment.errors ?? []) {
    const allowed: unknown = params.allowedValues
    faults.push(`${instancePath.slice(1)} ${message}${Array.isArray(allowed) ? ` (${allowed.join(', ')})` : ''}`)
  }
  // The defaults, so that the other settings are checked as well and every fault is named at once.
  const wrong = new Set(faults.map((fault) => fault.split(' ')[0]))
  const rest: unknown = Object.fromEntries(Object.entries(data).filter(([name]) => !wrong.has(name)))
  isEnvironment(rest)
  return rest as Static<typeof Environment>
}

/** `process.env` over `.env`. */
function readProcessEnvironment (): Record<string, string | undefined> {
  return { ...readEnvFile(), ...process.env }
}

function readEnvFile (): Record<string, string | undefined> {
  try {
    return parseEnv(readFileSync('.env', 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {} // It is optional.
    throw error
  }
}

function readKeys (settings: Static<typeof Environment>, production: boolean, faults: string[]): VerificationKey[] {
  const asked = splitList(settings.JWT_ALGORITHMS)
  const known: readonly string[] = [...HS, ...RSA, ...Object.values(CURVES), 'EdDSA']
  for (const algorithm of asked) if (!known.includes(algorithm)) faults.push(`JWT_ALGORITHMS has ${algorithm}, which is none of ${known.join(', ')}`)

  const keys: VerificationKey[] = []
  const add = (name: VerificationKey['name'], variable: string, key: string, usable: readonly Algorithm[], standard: readonly Algorithm[]) => {
    const algorithms = asked.length === 0 ? standard : usable.filter((algorithm) => asked.includes(algorithm))
    if (algorithms.length === 0) faults.push(`JWT_ALGORITHMS has none that fits ${variable} (${usable.join(', ')})`)
    else keys.push({ name, key, algorithms: [...algorithms] })
  }
  for (const [name, variable] of [['secret', 'JWT_SECRET'], ['previous', 'JWT_SECRET_PREVIOUS']] as const) {
    const secret = settings[variable]
    if (secret === undefined) continue
    if (production && Buffer.byteLength(secret) < 32) faults.push(`${variable} must have at least 32 bytes in production`)
    else add(name, variable, secret, HS, ['HS256'])
  }
  if (settings.JWT_PUBLIC_KEY !== undefined) {
    const pem = settings.JWT_PUBLIC_KEY.replaceAll('\\n', '\n')
    const algorithms = publicKeyAlgorithms(pem)
    if (algorithms === undefined) faults.push('JWT_PUBLIC_KEY must be an RSA, EC (P-256, P-384, P-521) or Ed25519 public key in PEM')
    else add('public', 'JWT_PUBLIC_KEY', pem, algorithms, algorithms)
  }
  return keys
}

function publicKeyAlgorithms (pem: string): readonly Algorithm[] | undefined {
  if (pem.includes('PRIVATE KEY')) return undefined
  let key: KeyObject
  try {
    key = createPublicKey(pem)
  } catch {
    return undefined
  }
  if (key.asymmetricKeyType === 'rsa') return RSA
  if (key.asymmetricKeyType === 'ed25519') return ['EdDSA']
  const curve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? '']
  return curve === undefined ? undefined : [curve]
}

function readOrigins (origins: string[]): '*' | Set<string> {
  if (origins.includes('*')) {
    if (origins.length > 1) throw new Error('has * and others')
    return '*'
  }
  return new Set(origins.map((origin) => {
    const normal = normaliseOrigin(origin)
    if (normal === undefined) throw new Error(`has ${origin}, which is not an origin such as https://app.example.com`)
    return normal
  }))
}

function readTrustProxy (value: string): Config['trustProxy'] {
  if (value === 'true' || value === 'false') return value === 'true'
  if (/^\d+$/.test(value)) return (_address, hop) => hop < Number(value)
  const networks = splitList(value)
  for (const network of networks) {
    const [address = '', bits = '0', ...more] = network.split('/')
    const named = ['loopback', 'linklocal', 'uniquelocal'].includes(network)
    if (!named && (isIP(address) === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (isIP(address) === 4 ? 32 : 128) || more.length > 0)) {
      throw new Error(`has ${network}, which is neither true, false, a number, an address nor a network`)
    }
  }
  return networks
}

function readTls (cert: string | undefined, key: string | undefined): Config['tls'] {
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined || key === undefined) throw new Error('and TLS_KEY_FILE go together')
  return { cert: readFileSync(cert), key: readFileSync(key) }
}

function readPolicies ({ ROOMS_FILE: file, HISTORY_SIZE: size, HISTORY_TTL_SECONDS: ttlSeconds }: Static<typeof Environment>): RoomPolicies {
  if (file === undefined) return new RoomPolicies({ size, ttlSeconds })
  const rules: unknown = JSON.parse(readFileSync(file, 'utf8'))
  const validate = new Ajv({ allErrors: true }).compile<PolicyRule[]>(RoomsFile)
  if (!validate(rules)) throw new Error(`has ${describeFaults(validate.errors ?? [])}`)
  return new RoomPolicies({ size, ttlSeconds }, rules)
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

function readRedis (settings: Static<typeof Environment>, faults: string[]): RedisSettings | undefined {
  const { REDIS_URL, REDIS_SENTINEL_NAME: name, REDIS_DURABLE: durable } = settings
  const read = (variable: string, items: string[]): RedisUrl[] => items.flatMap((item) => {
    const url = readRedisUrl(item)
    if (url === undefined) faults.push(`${variable} has ${withoutPassword(item)}, which is not an address such as ${variable === 'REDIS_URL' ? 'redis://127.0.0.1:6379' : '127.0.0.1:6379'}`)
    return url ?? []
  })
  const [server] = read('REDIS_URL', REDIS_URL === undefined ? [] : [REDIS_URL])
  const sentinels = read('REDIS_SENTINELS', splitList(settings.REDIS_SENTINELS))
  const nodes = read('REDIS_CLUSTER', splitList(settings.REDIS_CLUSTER))
  if (settings.REDIS_SENTINELS !== '' && name === undefined) faults.push('REDIS_SENTINEL_NAME is required beside REDIS_SENTINELS')
  if (settings.REDIS_SENTINELS === '' && name !== undefined) faults.push('REDIS_SENTINEL_NAME goes with REDIS_SENTINELS')
  if (sentinels.length > 0 && nodes.length > 0) faults.push('REDIS_SENTINELS and REDIS_CLUSTER exclude each other')
  if (durable && (sentinels.length > 0 || nodes.length > 0)) faults.push('REDIS_DURABLE is for one Redis: a failover may forget what was acknowledged')
  if (nodes.length > 0 && (server?.database ?? 0) !== 0) faults.push('REDIS_URL has a database, and a cluster has none')

  const common = { username: server?.username, password: server?.password, database: server?.database ?? 0, tls: server?.tls ?? false, durable }
  if (sentinels.length > 0) {
    return { ...common, kind: 'sentinel', addresses: sentinels.map(({ address }) => address), name, sentinelUsername: sentinels[0]?.username, sentinelPassword: sentinels[0]?.password }
  }
  if (nodes.length > 0) {
    return { ...common, kind: 'cluster', addresses: nodes.map(({ address }) => address), username: common.username ?? nodes[0]?.username, password: common.password ?? nodes[0]?.password, tls: common.tls || nodes.some(({ tls }) => tls) }
  }
  return server === undefined ? undefined : { ...common, kind: 'single', addresses: [server.address] }
}

function splitList (value: string): string[] {
  return value.split(',').map((item) => item.trim()).filter((item) => item !== '')
}

/** Whether an address is reachable from this machine alone (RFC 5735, section 3; RFC 4291, section 2.5.3). */
function isLoopback (host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
