import { test } from 'tap'
import { ENVIRONMENT, readConfig } from '../../src/config.ts'
import { PRODUCTION } from '../support/service-process.ts'
import { SECRET } from '../support/token.ts'

const DEVELOPMENT = { JWT_SECRET: SECRET }
const IN_PRODUCTION = { ...PRODUCTION, JWT_SECRET: SECRET }

function warningsOf (environment: Record<string, string>): string[] {
  return readConfig({ ...DEVELOPMENT, ...environment }).warnings
}

test('a name that is close to a setting is named with the setting', (t) => {
  for (const [name, setting] of [
    ['REDIS_ULR', 'REDIS_URL'], ['REDIS_URI', 'REDIS_URL'], ['REDISURL', 'REDIS_URL'], ['redis_url', 'REDIS_URL'],
    ['Redis-Url', 'REDIS_URL'],
    ['ALLOWED_ORIGIN', 'ALLOWED_ORIGINS'], ['ALOWED_ORIGIN', 'ALLOWED_ORIGINS'], ['allowed.origins', 'ALLOWED_ORIGINS'],
    ['JWT_SECERT', 'JWT_SECRET'], ['TLS_CERTFILE', 'TLS_CERT_FILE'], ['DEFUALT_GRANT', 'DEFAULT_GRANTS'], ['ROOM_FILE', 'ROOMS_FILE'],
    ['HISTORY_SZIE', 'HISTORY_SIZE'], ['MAX_CONECTIONS', 'MAX_CONNECTIONS'], ['PROT', 'PORT'], ['host', 'HOST'], ['NODE_EVN', 'NODE_ENV']
  ] as const) {
    const text = `${name} is not a setting: rename it to ${setting} if that is meant, or remove it`
    t.strictSame(warningsOf({ [name]: 'x' }), [text], name)
    t.strictSame(warningsOf({ [name]: '' }), [], `${name} without a value`)
    const isSafety = /^(?:JWT|REDIS|TLS)_|ORIGINS|GRANTS|ROOMS_FILE|NODE_ENV/.test(setting)
    if (isSafety) t.throws(() => readConfig({ ...IN_PRODUCTION, [name]: 'x' }), { name: 'InvalidConfig', message: text }, name)
    else t.strictSame(readConfig({ ...IN_PRODUCTION, [name]: 'x' }).warnings, [text], name)
  }
  t.end()
})

test('a misspelt NODE_ENV that asks for production is refused', (t) => {
  for (const name of ['NODE_EVN', 'node_env', 'NODEENV']) {
    const message = `${name} is not a setting: rename it to NODE_ENV`
    t.throws(() => readConfig({ ...DEVELOPMENT, [name]: 'production' }), { message }, name)
  }
  t.end()
})

test('a name that only begins like a setting is a warning, also in production', (t) => {
  for (const name of [
    'REDIS_HOST', 'REDIS_PASSWORD', 'JWT_EXPIRES_IN', 'PORT_2', 'HOST_NAME', 'MAX_USERS', 'LOG_FORMAT', 'ROOMCAST_REDIS_URL',
    'redis_tls_url'
  ]) {
    t.match(readConfig({ ...IN_PRODUCTION, [name]: 'x' }).warnings, [new RegExp(`^${name} is not a setting and has no effect`)], name)
  }
  t.end()
})

test('names of platforms and of other programs are silent', (t) => {
  const names = [
    'REDIS_PORT', 'REDIS_SERVICE_HOST', 'REDIS_SERVICE_PORT', 'REDIS_SERVICE_PORT_HTTP', 'REDIS_PORT_6379_TCP',
    'REDIS_PORT_6379_TCP_ADDR', 'ROOMCAST_PORT_3000_UDP_PROTO', 'ROOMCAST_SERVICE_HOST', 'KUBERNETES_PORT', 'HOSTNAME',
    'NODE_VERSION', 'NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'NODE_PATH', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'HTTP_PROXY',
    'HOME', 'PATH', 'PWD', 'USER', 'LOGNAME', 'LANG', 'TERM', 'SHLVL', 'MAIL', 'INIT_CWD', 'YARN_VERSION', 'COMPOSE_PROJECT_NAME',
    'npm_config_prefix', 'npm_package_version', 'API_KEY', 'DATABASE_URL', 'ÄÖ', '_', ''
  ]
  t.strictSame(readConfig({ ...IN_PRODUCTION, ...Object.fromEntries(names.map((name) => [name, 'tcp://10.0.0.1:6379'])) }).warnings, [])
  t.end()
})

test('no setting is taken for another one', (t) => {
  const defaults = Object.entries(ENVIRONMENT as Record<string, { default?: unknown }>)
    .map(([name, schema]) => [name, String(schema.default ?? '')])
  t.strictSame(warningsOf({ ...Object.fromEntries(defaults), ...DEVELOPMENT }), [])
  t.end()
})

test('what was noticed is told beside the faults', (t) => {
  const message = /JWT_SECRET or JWT_PUBLIC_KEY is required.*\(also noticed: JWT_SECERT is not a setting/
  t.throws(() => readConfig({ JWT_SECERT: SECRET }), message)
  t.end()
})

test('very many and very long names take little time', (t) => {
  const measure = (count: number): number => {
    const names = Object.fromEntries(Array.from({ length: count }, (_, i) => [`REDIS_${'_PORT_6379'.repeat(i % 2 * 50)}X${i}`, 'x']))
    const before = process.cpuUsage()
    readConfig({ ...DEVELOPMENT, ...names })
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  measure(500)
  t.ok(measure(4_000) < 16 * Math.max(measure(500), 5_000))
  t.end()
})
