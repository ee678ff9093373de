import { test } from 'tap'
import { identify, InvalidClaims, SERVER } from '../../src/auth/identity.ts'

const DEFAULT = { '**': ['join'] }
const EXP = 1_900_000_000

test('claims give a user, grants and an end', async (t) => {
  const identity = identify({ sub: 'ada', exp: EXP, rooms: { 'user:{sub}': ['publish'] } }, DEFAULT)
  t.equal(identity.user, 'ada')
  t.equal(identity.expiresAt, EXP * 1_000)
  t.ok(identity.grants.allow('publish', 'user:ada'))
  t.notOk(identity.grants.allow('join', 'lobby'), 'the default grants add nothing to a claim')
})

test('without a rooms claim the default grants hold, and only without one', async (t) => {
  t.ok(identify({ sub: 'ada', exp: EXP }, DEFAULT).grants.allow('join', 'lobby'))
  t.ok(identify({ sub: 'ada', exp: EXP }, { 'user:{sub}': ['join'] }).grants.allow('join', 'user:ada'))
  t.notOk(identify({ sub: 'ada', exp: EXP, rooms: {} }, DEFAULT).grants.allow('join', 'lobby'), 'an empty claim grants nothing')
  t.throws(
    () => identify({ sub: 'ada', exp: EXP, rooms: null }, DEFAULT),
    InvalidClaims,
    'null is no absence: who wrote it did not mean everything'
  )
})

test('a user is 1–255 bytes of well-formed text without control characters', async (t) => {
  for (const sub of ['a', 'ada lovelace', 'auth0|12:34', '@all', '*', 'grüße 👋', '__proto__', 'x'.repeat(255), 'ü'.repeat(127)]) {
    t.equal(identify({ sub, exp: EXP }, DEFAULT).user, sub)
  }
  for (const sub of [
    undefined, null, '', 7, true, {}, ['ada'], 'x'.repeat(256), 'ü'.repeat(128), 'a\nb', 'a\u0000', '\u007f', '\u0085', '\ud800', 'a\udc00'
  ]) {
    t.throws(() => identify({ sub, exp: EXP }, DEFAULT), { name: 'InvalidClaims', message: /sub claim/ })
  }
})

test('the names of the application and of API keys are reserved', async (t) => {
  for (const sub of ['server', 'key:', 'key:shop', 'key:a:b']) {
    t.throws(() => identify({ sub, exp: EXP }, DEFAULT), { name: 'InvalidClaims', message: /reserved/ }, sub)
  }
  for (const sub of ['Server', 'servers', 'server ', 'key', 'Key:shop', 'keys:a', 'a key:']) {
    t.equal(identify({ sub, exp: EXP }, DEFAULT).user, sub)
  }
})

test('a token has to end', async (t) => {
  for (const exp of [undefined, null, String(EXP), true, new Date(EXP)]) {
    t.throws(() => identify({ sub: 'ada', exp }, DEFAULT), { name: 'InvalidClaims', message: /exp claim/ })
  }
})

test('a rooms claim that cannot be granted is refused, and says why', async (t) => {
  t.throws(() => identify({ sub: 'ada', exp: EXP, rooms: { lobby: ['fly'] } }, DEFAULT), {
    name: 'InvalidClaims',
    message: /rooms claim.*"lobby"/
  })
  t.throws(() => identify({ sub: 'ada', exp: EXP, rooms: '**' }, DEFAULT), InvalidClaims)
})

test('the application itself may do everything and never ends', async (t) => {
  t.equal(SERVER.expiresAt, Infinity)
  t.ok(SERVER.grants.allow('manage', '@server'))
  t.ok(SERVER.grants.allow('publish', 'lobby'))
})
