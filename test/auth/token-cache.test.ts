import { test } from 'tap'
import { Grants } from '../../src/auth/grants.ts'
import type { Identity } from '../../src/auth/identity.ts'
import { TokenCache } from '../../src/auth/token-cache.ts'

const CLOCK_TOLERANCE_MS = 5_000

function makeIdentity (user: string, expiresAt = Date.now() + 60_000): Identity {
  return { user, grants: Grants.everything, expiresAt }
}

test('a token is known until it ends, and as long after as clocks may differ', async (t) => {
  const tokens = new TokenCache(CLOCK_TOLERANCE_MS)
  const ada = makeIdentity('ada')
  const late = makeIdentity('late', Date.now() - CLOCK_TOLERANCE_MS + 1_000)
  tokens.add('a', ada)
  tokens.add('b', late)
  tokens.add('c', makeIdentity('gone', Date.now() - CLOCK_TOLERANCE_MS - 1))
  t.equal(tokens.get('a'), ada)
  t.equal(tokens.get('b'), late)
  t.equal(tokens.get('c'), undefined)
  t.equal(tokens.get('d'), undefined)
})

test('of many tokens those used least recently are forgotten', async (t) => {
  const tokens = new TokenCache(CLOCK_TOLERANCE_MS)
  const token = (i: number): string => `${i}`.padStart(10_000, '0')
  const used = makeIdentity('used')
  tokens.add('used', used)
  tokens.add('unused', makeIdentity('unused'))
  for (let i = 0; i < 1_000; i++) { // 10 million characters
    tokens.add(token(i), makeIdentity(`user-${i}`))
    t.equal(tokens.get('used'), used)
  }
  t.equal(tokens.get('unused'), undefined)
  t.equal(tokens.get(token(0)), undefined)
  t.equal(tokens.get(token(999))?.user, 'user-999')
})

test('so many tokens are known and no more, however short', async (t) => {
  const tokens = new TokenCache(CLOCK_TOLERANCE_MS)
  const ada = makeIdentity('ada')
  for (let i = 0; i < 20_000; i++) tokens.add(`token-${i}`, ada)
  let known = 0
  for (let i = 0; i < 10_000; i++) if (tokens.get(`token-${i}`) !== undefined) known++
  t.equal(known, 0)
  t.equal(tokens.get('token-19999'), ada)
})
