import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { TSchema } from 'typebox'
import { Grants } from './auth/grants.ts'
import { readKeys, type VerificationKey } from './auth/keys.ts'
import { type AllowedOrigins, readOrigins } from './auth/origins.ts'
import { Type } from './protocol/schema.ts'
import { readRedisSettings } from './redis/read-settings.ts'
import type { RedisSettings } from './redis/settings.ts'
import type { RoomPolicies } from './rooms/policies.ts'
import { readPolicies } from './rooms/read-policies.ts'
import { findContradictions } from './settings/contradictions.ts'
import { checkEnvironment, EVERY_ROOM, splitList } from './settings/environment.ts'
import type { Findings } from './settings/findings.ts'
import { readProcessEnvironment } from './settings/process-environment.ts'
import { readTlsFiles, type TlsFiles } from './settings/tls-files.ts'
import { readTrustProxy, type TrustProxy } from './settings/trust-proxy.ts'
import { VariableReader } from './settings/variables.ts'

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
  DOCS: Type.Boolean({ description: 'Whether /docs and /openapi.json are served.', default: true }),

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
    description: 'Grants (JSON) of tokens without a rooms claim; * is the default.',
    default: EVERY_ROOM
  }),
  MAX_TOKEN_LIFETIME_SECONDS: Type.Integer({
    description: 'A connection lasts this long at the most, whatever its token says.',
    default: 30 * 86_400,
    minimum: 1,
    maximum: 10 * 366 * 86_400
  }),
  ALLOWED_ORIGINS: list(
    'Origins of pages and apps that may connect and call (also CORS), such as https://app.example.com, https://*.example.com or ' +
    'capacitor://localhost, separated by commas; * is any.',
    '*'
  ),

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
  MAX_IDLE_ROOMS: count('Rooms without members, in memory; 0 is no limit.', 100_000),
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
  REST_RATE: count('Messages a second of one caller over REST; each item of a batch counts; 0 is no limit.', 1_000),
  REST_BURST: count('Messages at once of one caller over REST.', 2_000),
  MAX_REQUESTS_PER_CALLER: count('REST requests of one caller in progress on this instance; 0 is no limit.', 256),
  MAX_KEYS_PER_CALLER: count('Idempotency keys of one caller that this instance remembers; 0 is no limit.', 100_000),
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

const variables = new VariableReader(ENVIRONMENT)
type Variables = ReturnType<typeof variables.read>

/** Settings that `Config` has in another form. */
type Parsed =
  | 'JWT_ALGORITHMS' | 'ALLOWED_ORIGINS' | 'DEFAULT_GRANTS' | 'TRUST_PROXY' | 'ROOMS_FILE' | 'TLS_CERT_FILE' | 'TLS_KEY_FILE'
  | 'REDIS_URL' | 'REDIS_SENTINELS' | 'REDIS_SENTINEL_NAME' | 'REDIS_CLUSTER' | 'REDIS_DURABLE'
type Settings = Omit<Variables, Parsed>

/** The settings, read and checked. */
export interface Config extends Settings {
  /** At least one. */
  keys: VerificationKey[]
  /** Whether `NODE_ENV` is `production`. */
  production: boolean
  /** A text for each setting that probably has another effect than intended. The plugin logs them. */
  warnings: string[]
  /** Whether the secret was generated for this process, so that a new user has a token. */
  ephemeralSecret: boolean
  defaultGrants: unknown
  /** Normalised; `*` is any. */
  allowedOrigins: AllowedOrigins
  trustProxy: TrustProxy
  tls: TlsFiles | undefined
  /** How rooms are kept. */
  policies: RoomPolicies
  /** Undefined where the instance is alone. */
  redis: RedisSettings | undefined
}

/** Settings that cannot be used; the message names every fault, in one line. */
export class InvalidConfig extends Error {
  override readonly name = 'InvalidConfig'

  /** @param warnings what else was noticed: it may be the cause of a fault */
  constructor (faults: string[], warnings: string[] = []) {
    const also = warnings.length === 0 ? '' : ` (also noticed: ${warnings.join('; ')})`
    // A text that was not JSON is quoted, with its line breaks.
    super(`Invalid configuration: ${faults.join('; ')}${also}`.replace(/\s+/g, ' '))
  }
}

/**
 * Reads the settings; throws `InvalidConfig`.
 *
 * @param environment read instead of `process.env` and `.env`
 * @param standalone for the standalone service: in development it generates a secret if it has none, and its `.env` holds
 *   nothing but settings
 */
export function readConfig (environment?: Record<string, string | undefined>, { standalone = false } = {}): Config {
  const findings: Findings = { faults: [], warnings: [] }
  const { faults, warnings } = findings
  const read = <T>(name: string, value: () => T): T | undefined => {
    try {
      return value()
    } catch (error) {
      faults.push(`${name} ${(error as Error).message}`)
      return undefined
    }
  }
  const own = environment === undefined ? read('.env', readProcessEnvironment) : undefined
  // Compose files and CI make an empty variable of one that is not set. An application may give numbers.
  const entries = Object.entries<unknown>(environment ?? own?.variables ?? {})
  const given = Object.fromEntries(entries.flatMap(([name, value]) => value === undefined || value === '' ? [] : [[name, String(value)]]))
  // An unknown environment is held to the rules of production.
  const production = given.NODE_ENV !== undefined && !['development', 'test'].includes(given.NODE_ENV)
  const file = new Set(standalone ? own?.file : [])
  checkEnvironment(given, { settings: Object.keys(ENVIRONMENT), production, file }, findings)
  const settings = variables.read(given, faults)
  const { keys, ephemeralSecret } = readAllKeys(settings, { standalone, production }, findings)
  const defaultGrants = read('DEFAULT_GRANTS', () => {
    const grants: unknown = JSON.parse(settings.DEFAULT_GRANTS.trim() === '*' ? EVERY_ROOM : settings.DEFAULT_GRANTS)
    Grants.compile(grants, 'somebody')
    return grants
  })
  const allowedOrigins = read('ALLOWED_ORIGINS', () => readOrigins(splitList(settings.ALLOWED_ORIGINS)))
  if (settings.JWT_COOKIE !== undefined && allowedOrigins === '*') {
    faults.push('JWT_COOKIE needs ALLOWED_ORIGINS: any page could use the cookie')
  }
  const trustProxy = read('TRUST_PROXY', () => readTrustProxy(settings.TRUST_PROXY, splitList(settings.TRUST_PROXY)))
  const tls = readTlsFiles(settings.TLS_CERT_FILE, settings.TLS_KEY_FILE, findings)
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
  const changed = new Set(Object.entries(ENVIRONMENT).filter(([name, schema]) =>
    settings[name as keyof Variables] !== ('default' in schema ? schema.default : undefined)).map(([name]) => name))
  warnings.push(...findContradictions(settings, { changed, hasRedis: redis !== undefined }))
  if (faults.length > 0 || allowedOrigins === undefined || trustProxy === undefined || policies === undefined) {
    throw new InvalidConfig(faults, warnings)
  }
  return { ...settings, keys, production, warnings, ephemeralSecret, defaultGrants, allowedOrigins, trustProxy, tls, policies, redis }
}

/** Reads the keys for tokens, or generates one where a service without keys is allowed. */
function readAllKeys (
  settings: Variables,
  { standalone, production }: { standalone: boolean, production: boolean },
  { faults, warnings }: Findings
): Pick<Config, 'keys' | 'ephemeralSecret'> {
  const algorithms = splitList(settings.JWT_ALGORITHMS)
  const keys = readKeys({
    secret: settings.JWT_SECRET,
    previousSecret: settings.JWT_SECRET_PREVIOUS,
    publicKey: settings.JWT_PUBLIC_KEY,
    algorithms,
    production
  }, faults)
  const ephemeralSecret = standalone && keys.length === 0 && !production && isLoopback(settings.HOST) &&
    settings.JWT_SECRET === undefined && settings.JWT_PUBLIC_KEY === undefined
  if (ephemeralSecret) keys.push({ name: 'secret', key: randomBytes(32).toString('base64url'), algorithms: ['HS256'] })
  else if (settings.JWT_SECRET === undefined && settings.JWT_PUBLIC_KEY === undefined) {
    const exception = 'only the service by itself, in development, on a loopback address, goes without'
    faults.push(`JWT_SECRET or JWT_PUBLIC_KEY is required (${exception})`)
  }

  for (const algorithm of algorithms) {
    if (!keys.some((key) => key.algorithms.some((accepted) => accepted === algorithm))) {
      warnings.push(`JWT_ALGORITHMS has ${algorithm}, which fits no key: remove it, or set the key`)
    }
  }
  return { keys, ephemeralSecret }
}

/** Whether an address is reachable from this machine alone (RFC 5735, section 3; RFC 4291, section 2.5.3). */
function isLoopback (host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
