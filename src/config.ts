import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { Ajv, type ValidateFunction } from 'ajv'
import dotenv from 'dotenv'
import type { Static, TSchema } from 'typebox'
import { Grants } from './auth/grants.ts'
import { readKeys, type VerificationKey } from './auth/keys.ts'
import { type AllowedOrigins, readOrigins } from './auth/origins.ts'
import { TRUSTED_SCHEMAS, Type } from './protocol/schema.ts'
import { readRedisSettings } from './redis/read-settings.ts'
import type { RedisSettings } from './redis/settings.ts'
import type { RoomPolicies } from './rooms/policies.ts'
import { readPolicies } from './rooms/read-policies.ts'

const list = (description: string, initial = '') => Type.String({ description, default: initial })
const text = (description: string) => Type.Optional(Type.String({ description, minLength: 1 }))
const count = (description: string, initial: number) =>
  Type.Integer({ description, default: initial, minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** The environment, key by key. `.env.example` and `docs/configuration.md` list the same; a test compares them. */
export const ENVIRONMENT = {
  HOST: Type.String({ description: 'Address to listen on; 0.0.0.0 for every one.', default: '127.0.0.1', minLength: 1 }),
  PORT: Type.Integer({ description: 'Port to listen on; 0 takes a free one.', default: 3000, minimum: 0, maximum: 65535 }),
  LOG_LEVEL: Type.String({
    description: 'How much is logged: fatal, error, warn, info, debug, trace or silent.',
    default: 'info',
    enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
  }),
  TRUST_PROXY: Type.String({
    description: 'Whose X-Forwarded-For is believed: true, false, a number of proxies, or addresses and networks, ' +
      'separated by commas.',
    default: 'false'
  }),
  TLS_CERT_FILE: text('Certificate (PEM) to serve TLS with; goes with TLS_KEY_FILE.'),
  TLS_KEY_FILE: text('Key (PEM) of the certificate.'),

  JWT_SECRET: text(
    'Secret that HS256 tokens are signed with, at least 32 bytes in production; without any key, a ' +
    'development server on a loopback address makes one up.'
  ),
  JWT_SECRET_PREVIOUS: text('The secret before, still accepted while it is being replaced.'),
  JWT_PUBLIC_KEY: text('Public key (PEM, line breaks may be written as \\n) that RS, PS, ES or EdDSA tokens are verified with.'),
  JWT_ALGORITHMS: list('Algorithms accepted, separated by commas; by default HS256 for a secret and those that fit the public key.'),
  JWT_ISSUER: text('The iss that tokens have to carry.'),
  JWT_AUDIENCE: text('The aud that tokens have to carry.'),
  JWT_COOKIE: text('Name of a cookie that the token may come in; needs ALLOWED_ORIGINS.'),
  DEFAULT_GRANTS: Type.String({
    description: 'Grants (JSON) of tokens without a rooms claim.',
    default: '{"**":["join","publish","history","members"]}'
  }),
  MAX_TOKEN_LIFETIME_SECONDS: Type.Integer({
    description: 'A connection lasts this long at the most, whatever its token says.',
    default: 30 * 86_400,
    minimum: 1,
    maximum: 10 * 366 * 86_400
  }),
  ALLOWED_ORIGINS: list('Origins that browsers may come from (also CORS), such as https://app.example.com, separated by commas; * is any.', '*'),

  REDIS_URL: text(
    'Redis (redis:// or rediss://), which connects the instances; without any Redis, an instance is alone and ' +
    'keeps everything in memory. Beside REDIS_SENTINELS or REDIS_CLUSTER it only gives user, password, database and TLS.'
  ),
  REDIS_SENTINELS: list('Sentinels (host:port, or redis:// with their user and password), separated by commas; goes with REDIS_SENTINEL_NAME.'),
  REDIS_SENTINEL_NAME: text('What the sentinels call the master.'),
  REDIS_CLUSTER: list('Some nodes of a Redis Cluster (host:port), separated by commas.'),
  REDIS_PREFIX: Type.String({
    description: 'In front of everything in Redis; instances with the same prefix belong together.',
    default: 'roomcast:',
    pattern: '^[^{}\\s]*$'
  }),
  REDIS_DURABLE: Type.Boolean({
    description: 'Redis never forgets what it has acknowledged (one Redis, appendfsync always, no failover): rooms go on ' +
      'after it was restarted, instead of starting new epochs.',
    default: false
  }),

  HISTORY_SIZE: count('Messages remembered per room; 0 turns history off.', 1_000),
  HISTORY_TTL_SECONDS: count('How long a message is remembered; 0 turns history off.', 3_600),
  ROOMS_FILE: text('A JSON file with what is different in some rooms: history, presence, who publishes.'),
  MAX_HISTORY_BYTES: count('Bytes of history in all rooms together, in memory; 0 is no limit.', 256 * 1024 * 1024),
  MAX_MESSAGE_BYTES: Type.Integer({
    description: 'Size of a WebSocket message or a request body; a batch may be 16 times that; 0 is no limit.',
    default: 64 * 1024,
    minimum: 0,
    maximum: 1024 ** 3
  }),
  MAX_QUEUE_BYTES: count('Bytes that may wait for one connection before it is closed as a slow consumer; 0 is no limit.', 1024 * 1024),
  MAX_ROOMS_PER_CONNECTION: count('Rooms one connection may join; 0 is no limit.', 128),
  MAX_CONNECTIONS: count('Connections on this instance; 0 is no limit.', 0),
  MAX_CONNECTIONS_PER_USER: count('Connections of one user on this instance; 0 is no limit.', 0),
  MAX_CONNECTIONS_PER_ADDRESS: count('Connections from one address (IPv6: from one /64 network) on this instance; 0 is no limit.', 0),
  UPGRADES_PER_MINUTE: count('New connections a minute from one address (IPv6: from one /64 network); 0 is no limit.', 0),
  MESSAGE_RATE: count('Messages a second from one connection; 0 is no limit.', 100),
  MESSAGE_BURST: count('Messages at once from one connection.', 200),
  HEARTBEAT_SECONDS: count('Time between pings; a client that does not answer within 10 seconds is closed; 0 sends none.', 25),

  DRAIN_DELAY_MS: count('After SIGTERM, time for load balancers to notice before connections are closed.', 0),
  DRAIN_WINDOW_MS: count('Time over which connections are closed.', 5_000),
  DRAIN_DEADLINE_MS: Type.Integer({
    description: 'Going down takes no longer than this; then the process exits with 1.',
    default: 30_000,
    minimum: 1,
    maximum: 3_600_000
  })
} as const satisfies Record<string, TSchema>

/** Settings of the contract that this version does not have yet: refused, so that nobody relies on them. */
const NOT_YET = ['JWKS_URL', 'API_KEYS']

const Environment = Type.Object(ENVIRONMENT, { additionalProperties: false })
/** Compiled when settings are read for the first time. */
let validateEnvironment: ValidateFunction<Static<typeof Environment>> | undefined

/** Settings that `Config` has in another form. */
type Parsed =
  | 'JWT_ALGORITHMS' | 'ALLOWED_ORIGINS' | 'DEFAULT_GRANTS' | 'TRUST_PROXY' | 'ROOMS_FILE' | 'TLS_CERT_FILE' | 'TLS_KEY_FILE'
  | 'REDIS_URL' | 'REDIS_SENTINELS' | 'REDIS_SENTINEL_NAME' | 'REDIS_CLUSTER' | 'REDIS_DURABLE'
type Settings = Omit<Static<typeof Environment>, Parsed>

/** The settings, read and checked. */
export interface Config extends Settings {
  /** At least one. */
  keys: VerificationKey[]
  /** Whether the secret was generated for this process, so that a new user has a token. */
  ephemeralSecret: boolean
  defaultGrants: unknown
  /** Normalised; `*` is any. */
  allowedOrigins: AllowedOrigins
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
  const keys = readKeys({
    secret: settings.JWT_SECRET,
    previousSecret: settings.JWT_SECRET_PREVIOUS,
    publicKey: settings.JWT_PUBLIC_KEY,
    algorithms: splitList(settings.JWT_ALGORITHMS),
    production
  }, faults)
  const ephemeralSecret = standalone && keys.length === 0 && !production && isLoopback(settings.HOST) &&
    settings.JWT_SECRET === undefined && settings.JWT_PUBLIC_KEY === undefined
  if (ephemeralSecret) keys.push({ name: 'secret', key: randomBytes(32).toString('base64url'), algorithms: ['HS256'] })
  else if (settings.JWT_SECRET === undefined && settings.JWT_PUBLIC_KEY === undefined) {
    const exception = 'only the service by itself, in development, on a loopback address, goes without'
    faults.push(`JWT_SECRET or JWT_PUBLIC_KEY is required (${exception})`)
  }

  const defaultGrants = read('DEFAULT_GRANTS', () => {
    const grants: unknown = JSON.parse(settings.DEFAULT_GRANTS)
    Grants.compile(grants, 'somebody')
    return grants
  })
  const allowedOrigins = read('ALLOWED_ORIGINS', () => readOrigins(splitList(settings.ALLOWED_ORIGINS)))
  if (settings.JWT_COOKIE !== undefined && allowedOrigins === '*') {
    faults.push('JWT_COOKIE needs ALLOWED_ORIGINS: any page could use the cookie')
  }
  const trustProxy = read('TRUST_PROXY', () => readTrustProxy(settings.TRUST_PROXY))
  const tls = read('TLS_CERT_FILE', () => readTls(settings.TLS_CERT_FILE, settings.TLS_KEY_FILE))
  const redis = readRedisSettings({
    url: settings.REDIS_URL,
    sentinels: settings.REDIS_SENTINELS === '' ? undefined : splitList(settings.REDIS_SENTINELS),
    sentinelName: settings.REDIS_SENTINEL_NAME,
    cluster: splitList(settings.REDIS_CLUSTER),
    durable: settings.REDIS_DURABLE
  }, faults)
  const policies = read('ROOMS_FILE', () => readPolicies(
    settings.ROOMS_FILE === undefined ? undefined : readFileSync(settings.ROOMS_FILE, 'utf8'),
    { size: settings.HISTORY_SIZE, ttlSeconds: settings.HISTORY_TTL_SECONDS }
  ))
  if (faults.length > 0 || allowedOrigins === undefined || trustProxy === undefined || policies === undefined) {
    throw new InvalidConfig(faults)
  }
  return { ...settings, keys, ephemeralSecret, defaultGrants, allowedOrigins, trustProxy, tls, policies, redis }
}

function readEnvironment (given: Record<string, string | undefined>, faults: string[]): Static<typeof Environment> {
  // An empty variable is what compose files and CI make of one that is not set.
  const data = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== ''))
  for (const name of NOT_YET) if (name in data) faults.push(`${name} is not supported by this version`)

  // Variables are texts: numbers and booleans are read from them. Unknown variables are ignored, missing ones have their defaults.
  const isEnvironment = validateEnvironment ??= compileEnvironment()
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

function compileEnvironment (): ValidateFunction<Static<typeof Environment>> {
  const options = { allErrors: true, coerceTypes: true, removeAdditional: true, useDefaults: true }
  return new Ajv({ ...TRUSTED_SCHEMAS, code: { optimize: false }, ...options }).compile(Environment)
}

/** `process.env` over `.env`. */
function readProcessEnvironment (): Record<string, string | undefined> {
  const file: Record<string, string> = {}
  const { error } = dotenv.config({ quiet: true, processEnv: file })
  const isMissing = error !== undefined && 'code' in error && String(error.code) === 'ENOENT'
  if (error !== undefined && !isMissing) throw new InvalidConfig([`.env cannot be read: ${error.message}`])
  return { ...file, ...process.env }
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

function splitList (value: string): string[] {
  return value.split(',').map((item) => item.trim()).filter((item) => item !== '')
}

/** Whether an address is reachable from this machine alone (RFC 5735, section 3; RFC 4291, section 2.5.3). */
function isLoopback (host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
