import { test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { SECRET } from '../support/token.ts'

const PUBLIC_KEY = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----`

test('settings that contradict each other are named', (t) => {
  for (const [environment, warning] of [
    [{ REDIS_PREFIX: 'other:' }, /^REDIS_PREFIX has no effect without Redis/],
    [{ REDIS_URL: 'redis://127.0.0.1', MAX_HISTORY_BYTES: '100000' }, /^MAX_HISTORY_BYTES has no effect with Redis/],
    [{ HISTORY_SIZE: '0', HISTORY_TTL_SECONDS: '5' }, /^HISTORY_TTL_SECONDS has no effect: HISTORY_SIZE=0/],
    [{ HISTORY_SIZE: '5', HISTORY_TTL_SECONDS: '0' }, /^HISTORY_SIZE has no effect: HISTORY_TTL_SECONDS=0/],
    [{ MAX_QUEUE_BYTES: '1000' }, /^MAX_QUEUE_BYTES is below MAX_MESSAGE_BYTES/],
    [{ MAX_HISTORY_BYTES: '1000' }, /^MAX_HISTORY_BYTES is below MAX_MESSAGE_BYTES/],
    [{ MAX_CONNECTIONS: '10', MAX_CONNECTIONS_PER_USER: '11' }, /^MAX_CONNECTIONS_PER_USER has no effect/],
    [{ MAX_CONNECTIONS: '10', MAX_CONNECTIONS_PER_ADDRESS: '11' }, /^MAX_CONNECTIONS_PER_ADDRESS has no effect/],
    [{ MESSAGE_RATE: '0', MESSAGE_BURST: '5' }, /^MESSAGE_BURST has no effect/],
    [{ MESSAGE_BURST: '0' }, /^MESSAGE_BURST=0 counts as 1/],
    [{ REST_RATE: '0', REST_BURST: '5' }, /^REST_BURST has no effect/],
    [{ REST_BURST: '0' }, /^REST_BURST=0 counts as 1/],
    [{ DRAIN_DEADLINE_MS: '9999' }, /^DRAIN_DEADLINE_MS is below .* raise it to 10000/],
    [{ DRAIN_DELAY_MS: '20001' }, /^DRAIN_DEADLINE_MS is below .* raise it to 30001/],
    [{ JWT_SECRET_PREVIOUS: SECRET }, /^JWT_SECRET_PREVIOUS is the same as JWT_SECRET/],
    [{ JWT_SECRET: '', JWT_PUBLIC_KEY: PUBLIC_KEY, JWT_SECRET_PREVIOUS: SECRET }, /^JWT_SECRET_PREVIOUS is set without JWT_SECRET/],
    [{ JWT_ALGORITHMS: 'HS256,RS256' }, /^JWT_ALGORITHMS has RS256, which fits no key/]
  ] as const) {
    t.match(readConfig({ JWT_SECRET: SECRET, ...environment }).warnings, [warning], JSON.stringify(environment))
  }
  t.throws(() => readConfig({ JWT_SECRET: SECRET, REDIS_DURABLE: 'true' }), /REDIS_DURABLE is set without Redis/)
  t.throws(() => readConfig({ JWT_SECRET_PREVIOUS: SECRET }), /JWT_SECRET or JWT_PUBLIC_KEY is required/)
  t.end()
})

test('settings that go together are not', (t) => {
  for (const environment of [
    { REDIS_PREFIX: 'other:', REDIS_URL: 'redis://127.0.0.1' },
    { HISTORY_SIZE: '0' }, { HISTORY_SIZE: '0', HISTORY_TTL_SECONDS: '0' },
    { MAX_QUEUE_BYTES: '0' }, { MAX_MESSAGE_BYTES: '0', MAX_QUEUE_BYTES: '5' },
    { MAX_CONNECTIONS_PER_USER: '5' }, { MAX_CONNECTIONS: '5', MAX_CONNECTIONS_PER_USER: '5' },
    { MESSAGE_RATE: '0' }, { MESSAGE_BURST: '5' }, { DRAIN_DEADLINE_MS: '10000' }, { JWT_SECRET_PREVIOUS: `${SECRET}2` }
  ] as Record<string, string>[]) t.strictSame(readConfig({ JWT_SECRET: SECRET, ...environment }).warnings, [], JSON.stringify(environment))
  t.end()
})
