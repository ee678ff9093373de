import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import { type Config, InvalidConfig, readConfig as read } from '../src/config.ts'
import { call, startService } from './support/service.ts'
import { PRODUCTION } from './support/service-process.ts'
import { SECRET } from './support/token.ts'
import { connect, refusal } from './support/websocket-client.ts'

/** As the service by itself reads it. */
function readConfig (environment?: Record<string, string | undefined>): Config {
  return read(environment, { standalone: true })
}

function faultsOf (environment: Record<string, string>): string {
  try {
    readConfig(environment)
  } catch (error) {
    if (error instanceof InvalidConfig) return error.message
    throw error
  }
  return ''
}

test('without anything there is a secret for this process, and the defaults of the contract', (t) => {
  const config = readConfig({})
  t.equal(config.ephemeralSecret, true)
  t.equal(config.keys.length, 1)
  t.not(readConfig({}).keys[0]?.key, config.keys[0]?.key, 'another one each time')
  t.match(config, {
    HOST: '127.0.0.1',
    PORT: 3000,
    MAX_MESSAGE_BYTES: 65_536,
    MAX_QUEUE_BYTES: 1_048_576,
    MAX_ROOMS_PER_CONNECTION: 128,
    HISTORY_SIZE: 1_000,
    HISTORY_TTL_SECONDS: 3_600,
    HEARTBEAT_SECONDS: 25,
    MESSAGE_RATE: 100,
    MESSAGE_BURST: 200,
    REST_RATE: 1_000,
    REST_BURST: 2_000,
    MAX_REQUESTS_PER_CALLER: 256,
    MAX_KEYS_PER_CALLER: 100_000,
    MAX_IDLE_ROOMS: 100_000,
    MAX_CONNECTIONS_PER_ADDRESS: 0,
    UPGRADES_PER_MINUTE: 0,
    DRAIN_DELAY_MS: 0,
    DRAIN_WINDOW_MS: 5_000,
    DRAIN_DEADLINE_MS: 30_000,
    MAX_TOKEN_LIFETIME_SECONDS: 2_592_000,
    allowedOrigins: '*',
    trustProxy: false,
    defaultGrants: { '**': ['join', 'publish', 'history', 'members'] }
  })
  t.end()
})

test('a secret is made up only where nobody else gets at the service', (t) => {
  for (const HOST of ['127.0.0.1', '127.1.2.3', 'localhost', '::1']) t.equal(readConfig({ HOST }).ephemeralSecret, true, HOST)
  for (const environment of [
    { HOST: '0.0.0.0' }, { HOST: '::' }, { HOST: '10.0.0.1' }, { HOST: '127.0.0.1.example.com' }, { ...PRODUCTION }
  ] as Record<string, string>[]) {
    t.match(faultsOf(environment), /JWT_SECRET or JWT_PUBLIC_KEY is required/)
  }
  t.equal(readConfig({ JWT_SECRET: SECRET }).ephemeralSecret, false)
  t.match(faultsOf({ ...PRODUCTION, JWT_SECRET: 'short' }), /JWT_SECRET must have at least 32 bytes in production/)
  t.equal(readConfig({ JWT_SECRET: 'short' }).ephemeralSecret, false)
  t.end()
})

test('an application that Roomcast is part of has to give it a key', (t) => {
  t.throws(() => read({}), /JWT_SECRET or JWT_PUBLIC_KEY is required/)
  t.end()
})

test('every fault is named at once, in one line', (t) => {
  const faults: Record<string, string> = {
    PORT: '1e9',
    LOG_LEVEL: 'loud',
    MESSAGE_RATE: '-1',
    HISTORY_SIZE: 'many',
    MAX_QUEUE_BYTES: '1.5',
    DRAIN_DEADLINE_MS: '0',
    MAX_MESSAGE_BYTES: '9999999999',
    DEFAULT_GRANTS: '{"**":["fly"]}',
    ALLOWED_ORIGINS: 'https://a.example/path',
    TRUST_PROXY: 'perhaps',
    TLS_CERT_FILE: '/nowhere.pem',
    JWT_PUBLIC_KEY: 'none',
    JWT_ALGORITHMS: 'none',
    REDIS_URL: 'http://127.0.0.1',
    REDIS_SENTINELS: '127.0.0.1:1:2',
    REDIS_CLUSTER: 'redis://10.0.0.1?a=b',
    REDIS_PREFIX: '{x}',
    REDIS_DURABLE: 'perhaps',
    JWKS_URL: 'https://a.example'
  }
  const message = faultsOf({ JWT_SECRET: SECRET, ...faults })
  for (const name of Object.keys(faults)) t.match(message, new RegExp(`(^|[:;] )${name} `), name)
  t.notMatch(message, '\n')
  t.end()
})

test('an empty variable is one that is not set', (t) => {
  const config = readConfig({ PORT: '', JWT_SECRET: '', JWT_PUBLIC_KEY: '', REDIS_URL: '', TLS_CERT_FILE: '', ALLOWED_ORIGINS: '' })
  t.match(config, { PORT: 3000, ephemeralSecret: true, tls: undefined, allowedOrigins: '*' })
  t.end()
})

test('what stands in the environment comes before what stands in .env', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-'))
  const required = 'DEFAULT_GRANTS=*\nALLOWED_ORIGINS=*\n'
  writeFileSync(join(folder, '.env'), `PORT=4000\nMESSAGE_RATE=7\nJWT_SECRET=${SECRET}\nNODE_ENV=production\n${required}HISTORY_SIZE=\n`)
  const [cwd, port] = [process.cwd(), process.env.PORT]
  t.teardown(() => {
    process.chdir(cwd)
    if (port === undefined) delete process.env.PORT
    else process.env.PORT = port
  })
  process.chdir(folder)
  process.env.PORT = '5000'
  t.match(readConfig(), { PORT: 5000, MESSAGE_RATE: 7, HISTORY_SIZE: 1_000, ephemeralSecret: false })
  writeFileSync(join(folder, '.env'), `JWT_SECRET=short\nNODE_ENV=production\n${required}`)
  t.throws(() => readConfig(), /JWT_SECRET must have at least 32 bytes in production/, 'NODE_ENV too')
  writeFileSync(join(folder, '.env'), `\uFEFFMESSAGE_RATE=8\nno setting\nexport MESSAGE_BURST=9\nJWT_SECRET='${SECRET}' # a comment\n`)
  t.match(readConfig(), { MESSAGE_RATE: 8, MESSAGE_BURST: 9, keys: [{ key: SECRET }] }, 'a byte order mark, and a line without a setting')
  rmSync(join(folder, '.env'))
  mkdirSync(join(folder, '.env'))
  t.throws(() => readConfig(), { name: 'InvalidConfig', message: /\.env cannot be read/ })
  t.end()
})

test('a key is pinned to the algorithms that fit it, and JWT_ALGORITHMS leaves some', (t) => {
  const algorithmsOf = (environment: Record<string, string>): Record<string, string[]> =>
    Object.fromEntries(readConfig(environment).keys.map(({ name, algorithms }) => [name, algorithms]))
  const pem = (key: { export: (options: { type: 'spki', format: 'pem' }) => string | Buffer }): string =>
    String(key.export({ type: 'spki', format: 'pem' }))
  const rsa = pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey)
  const ec = pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)
  const ed = pem(generateKeyPairSync('ed25519').publicKey)

  t.strictSame(algorithmsOf({ JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS: `${SECRET}2` }), { secret: ['HS256'], previous: ['HS256'] })
  t.strictSame(algorithmsOf({ JWT_PUBLIC_KEY: rsa }), { public: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] })
  t.strictSame(algorithmsOf({ JWT_PUBLIC_KEY: ec }), { public: ['ES384'] })
  t.strictSame(algorithmsOf({ JWT_PUBLIC_KEY: ed.replaceAll('\n', '\\n') }), { public: ['EdDSA'] }, 'with line breaks as \\n')
  t.strictSame(algorithmsOf({ JWT_PUBLIC_KEY: rsa, JWT_SECRET: SECRET, JWT_ALGORITHMS: 'PS256, HS512' }), {
    secret: ['HS512'],
    public: ['PS256']
  })
  t.match(faultsOf({ JWT_PUBLIC_KEY: rsa, JWT_ALGORITHMS: 'ES256' }), /JWT_ALGORITHMS has none that fits JWT_PUBLIC_KEY/)
  for (const key of [
    pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey),
    pem(generateKeyPairSync('x25519').publicKey),
    String(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }))
  ]) t.match(faultsOf({ JWT_PUBLIC_KEY: key }), /JWT_PUBLIC_KEY must be/)
  t.end()
})

test('allowed origins are read in their normal form, and other texts are refused', (t) => {
  t.strictSame(
    readConfig({ ALLOWED_ORIGINS: ' https://A.example , http://b.example:80 ' }).allowedOrigins,
    new Set(['https://a.example', 'http://b.example'])
  )
  for (const text of [
    'null', 'example.com', 'https://a.example/path', 'https://u@a.example', 'https://a.example?x', 'file:///x', 'data:x'
  ]) {
    t.match(faultsOf({ ALLOWED_ORIGINS: text }), /ALLOWED_ORIGINS has .*, which is not an origin/, text)
  }
  t.match(faultsOf({ ALLOWED_ORIGINS: '*,https://a.example' }), /ALLOWED_ORIGINS has \* and others/)
  t.match(faultsOf({ JWT_COOKIE: 'token' }), /JWT_COOKIE needs ALLOWED_ORIGINS/)
  t.end()
})

test('TRUST_PROXY is a yes, a no, a number or networks', (t) => {
  const read = (TRUST_PROXY: string): Config['trustProxy'] => readConfig({ TRUST_PROXY }).trustProxy
  t.equal(read('true'), true)
  t.strictSame(read('10.0.0.0/8, ::1,loopback'), ['10.0.0.0/8', '::1', 'loopback'])
  const two = read('2') as (address: string, hop: number) => boolean
  t.strictSame([0, 1, 2].map((hop) => two('10.0.0.1', hop)), [true, true, false])
  for (const value of ['10.0.0.0/33', 'yes', '1.2.3', '10.0.0.0/8/8']) t.match(faultsOf({ TRUST_PROXY: value }), /TRUST_PROXY has/, value)
  t.end()
})

test('behind a trusted proxy, limits count the address that the proxy names', async (t) => {
  const service = await startService(t, { TRUST_PROXY: '1', MAX_CONNECTIONS_PER_ADDRESS: '1' })
  const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })
  await connect(service, from('203.0.113.1'))
  await connect(service, from('203.0.113.2'))
  t.equal((await refusal(service, from('203.0.113.1'))).status, 429)
})

test('with a certificate it serves TLS, REST and sockets', async (t) => {
  const pathOf = (name: string): string => new URL(`../../test/fixtures/${name}`, import.meta.url).pathname
  const [cert, key] = [pathOf('certificate.pem'), pathOf('key.pem')]
  const plain = await startService(t, { TLS_CERT_FILE: cert, TLS_KEY_FILE: key })
  const service = { ...plain, url: plain.url.replace('http', 'https') }
  const verified = process.env.NODE_TLS_REJECT_UNAUTHORIZED
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0' // The certificate is the test's own.
  t.teardown(() => {
    if (verified === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = verified
  })
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  t.equal((await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'over TLS' } })).status, 201)
  t.match(await client.next('message'), { text: 'over TLS' })
  t.match(faultsOf({ TLS_CERT_FILE: cert }), /TLS_CERT_FILE and TLS_KEY_FILE go together/)
})

test('how Redis is reached is read from addresses, with their credentials', (t) => {
  const redisOf = (environment: Record<string, string>) => readConfig(environment).redis
  const common = { username: undefined, password: undefined, database: 0, tls: false, durable: false }
  t.equal(redisOf({}), undefined)
  t.strictSame(redisOf({ REDIS_URL: 'redis://127.0.0.1' }), { ...common, kind: 'single', addresses: [{ host: '127.0.0.1', port: 6379 }] })
  t.strictSame(redisOf({ REDIS_URL: 'rediss://ada:p%40ss@[::1]:7000/3', REDIS_DURABLE: 'true' }), {
    username: 'ada', password: 'p@ss', database: 3, tls: true, durable: true, kind: 'single', addresses: [{ host: '::1', port: 7000 }]
  })
  t.match(redisOf({ REDIS_URL: 'redis://:secret@unused', REDIS_SENTINELS: 'a:1, redis://:other@b', REDIS_SENTINEL_NAME: 'rooms' }), {
    kind: 'sentinel', name: 'rooms', password: 'secret', addresses: [{ host: 'a', port: 1 }, { host: 'b', port: 6379 }]
  })
  t.match(redisOf({ REDIS_SENTINELS: 'redis://:other@b', REDIS_SENTINEL_NAME: 'rooms' }), {
    password: undefined,
    sentinelPassword: 'other'
  })
  t.match(redisOf({ REDIS_CLUSTER: 'rediss://ada:secret@a:1,b:2' }), {
    kind: 'cluster',
    username: 'ada',
    password: 'secret',
    tls: true,
    addresses: [{ host: 'a', port: 1 }, { host: 'b', port: 2 }]
  })
  t.match(redisOf({ REDIS_CLUSTER: 'a:1', REDIS_URL: 'redis://:secret@unused' }), { kind: 'cluster', password: 'secret' })

  t.match(faultsOf({ REDIS_SENTINELS: 'a:1' }), /REDIS_SENTINEL_NAME is required/)
  t.match(faultsOf({ REDIS_SENTINEL_NAME: 'rooms' }), /REDIS_SENTINEL_NAME goes with REDIS_SENTINELS/)
  t.match(faultsOf({ REDIS_SENTINEL_NAME: 'rooms', REDIS_SENTINELS: 'a:1', REDIS_CLUSTER: 'a:1' }), /exclude each other/)
  t.match(faultsOf({ REDIS_CLUSTER: 'a:1', REDIS_DURABLE: 'true' }), /REDIS_DURABLE is for one Redis/)
  t.match(faultsOf({ REDIS_CLUSTER: 'a:1', REDIS_URL: 'redis://a/2' }), /a cluster has none/)
  t.notMatch(faultsOf({ REDIS_URL: 'redis://:secret@a:1/x' }), 'secret', 'no password in what is said')
  t.match(faultsOf({ REDIS_URL: 'redis://:100%zz@a' }), /REDIS_URL has redis:\/\/\*\*\*@a, which is not an address/)
  t.end()
})

test('a file of rooms is read at the start, and what is wrong in it is said', (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'roomcast-')), 'rooms.json')
  const faults = (content: string): string => {
    writeFileSync(file, content)
    return faultsOf({ ROOMS_FILE: file })
  }
  t.equal(faults('[]'), '')
  t.equal(faults('[{"pattern":"a:**","history":{"size":5},"presence":false,"publish":"server"},{"pattern":"**","history":false}]'), '')
  t.strictSame(readConfig({ ROOMS_FILE: file, HISTORY_SIZE: '5' }).policies.of('b').history, undefined)
  t.match(faults('{"pattern":"a"}'), /ROOMS_FILE has something that must be array/)
  t.match(faults('nonsense'), /ROOMS_FILE .*JSON/)
  t.notMatch(faults('[\n {"pattern": a}\n]'), '\n', 'in one line')
  t.match(faults('[{"history":false}]'), /ROOMS_FILE has \/0 must have required property 'pattern'/)
  t.match(faults('[{"pattern":"a","hstory":false}]'), /ROOMS_FILE has \/0 must NOT have additional properties \(hstory\)/)
  t.match(faults('[{"pattern":"a","history":{"size":-1}}]'), /ROOMS_FILE has \/0\/history\/size must be >= 0/)
  t.match(
    faults('[{"pattern":"a","history":true},{"pattern":"b","presence":1}]'),
    /ROOMS_FILE has \/0\/history must be object, \/1\/presence must be boolean$/
  )
  t.match(faults('[{"pattern":"a","publish":"nobody"}]'), /ROOMS_FILE has \/0\/publish/)
  t.match(faults('[{"pattern":"a*"}]'), /ROOMS_FILE in the pattern "a\*"/)
  t.match(faultsOf({ ROOMS_FILE: `${file}.not` }), /ROOMS_FILE ENOENT/)
  t.end()
})
