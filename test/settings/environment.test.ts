import { test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { PRODUCTION } from '../support/service-process.ts'
import { SECRET } from '../support/token.ts'

test('NODE_ENV is production, development, test or unset', (t) => {
  for (const NODE_ENV of ['development', 'test', '']) t.equal(readConfig({ JWT_SECRET: 'short', NODE_ENV }).production, false, NODE_ENV)
  t.equal(readConfig({ ...PRODUCTION, JWT_SECRET: SECRET }).production, true)
  for (const NODE_ENV of ['prod', 'Production', 'production ', 'staging', ' ']) {
    const refusal = /NODE_ENV must be production, development, test or unset/
    t.throws(() => readConfig({ ...PRODUCTION, JWT_SECRET: SECRET, NODE_ENV }), refusal, NODE_ENV)
    const rule = /JWT_SECRET must have at least 32 bytes/
    t.throws(() => readConfig({ JWT_SECRET: 'short', NODE_ENV }), rule, `${NODE_ENV}: the rules of production`)
  }
  t.end()
})

test('production has no default for grants and origins', (t) => {
  for (const name of ['ALLOWED_ORIGINS', 'DEFAULT_GRANTS'] as const) {
    const environment = { ...PRODUCTION, JWT_SECRET: SECRET }
    for (const value of [undefined, '']) {
      t.throws(() => readConfig({ ...environment, [name]: value }), new RegExp(`${name} must be set in production: write .*\\*`))
    }
  }
  const { allowedOrigins, defaultGrants } = readConfig({ ...PRODUCTION, JWT_SECRET: SECRET })
  t.equal(allowedOrigins, '*')
  t.strictSame(defaultGrants, readConfig({ JWT_SECRET: SECRET }).defaultGrants, '* is the default of development')
  t.strictSame(readConfig({ ...PRODUCTION, JWT_SECRET: SECRET, DEFAULT_GRANTS: '{}' }).defaultGrants, {})
  t.end()
})

test('a list without an entry is refused', (t) => {
  for (const name of ['JWT_ALGORITHMS', 'ALLOWED_ORIGINS', 'REDIS_SENTINELS', 'REDIS_CLUSTER', 'TRUST_PROXY']) {
    for (const value of [',', ' ', ' , ,']) {
      t.throws(() => readConfig({ JWT_SECRET: SECRET, [name]: value }), new RegExp(`${name} has no entry`))
    }
  }
  t.end()
})

test('numbers and booleans of an application are read as texts', (t) => {
  const given = { JWT_SECRET: SECRET, MESSAGE_RATE: 0, TRUST_PROXY: true, DOCS: false } as unknown as Record<string, string>
  t.match(readConfig(given), { MESSAGE_RATE: 0, trustProxy: true, DOCS: false })
  t.end()
})
