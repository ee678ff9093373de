import { test } from 'tap'
import { findToken, type TokenSources } from '../../src/auth/find-token.ts'

const NONE = { code: 'unauthorized', message: 'There is no token' }
const SEVERAL = { code: 'unauthorized', message: 'There is more than one token' }
const SCHEME = { code: 'unauthorized', message: 'The Authorization header has to be "Bearer <token>"' }

/** Sources without a token, unless some are given. */
function sources (some: Partial<TokenSources> = {}): TokenSources {
  return { rawHeaders: ['Host', 'x', 'Accept', '*/*'], protocols: [], query: undefined, cookie: undefined, ...some }
}

function find (some: Partial<TokenSources>, cookieName?: string): ReturnType<typeof findToken> {
  return findToken(sources(some), cookieName)
}

function findIn (...rawHeaders: string[]): ReturnType<typeof findToken> {
  return find({ rawHeaders })
}

function findCookie (cookie: string | undefined, cookieName = 'session'): ReturnType<typeof findToken> {
  return find({ cookie }, cookieName)
}

test('a request without a token is unauthorized', async (t) => {
  t.throws(() => find({}), NONE)
  t.throws(() => find({ rawHeaders: [] }), NONE)
  t.throws(() => find({ protocols: ['roomcast.v1'], query: [], cookie: 'session=abc' }), NONE)
  t.throws(() => find({}, 'session'), NONE)
})

test('a header carries a token after the scheme Bearer, in any case of both names', async (t) => {
  for (const name of ['Authorization', 'authorization', 'AUTHORIZATION', 'aUtHoRiZaTiOn']) {
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) {
      t.strictSame(findIn('Host', 'x', name, `${scheme} a.b.c`, 'Accept', '*/*'), { token: 'a.b.c', fromCookie: false })
    }
  }
  t.equal(findIn('Authorization', 'Bearer    a.b.c   ').token, 'a.b.c', 'spaces around a token are not part of it')
  t.equal(findIn('Authorization', 'Bearer Bearer').token, 'Bearer')
})

test('a header that is not a bearer token is unauthorized if there is no other token', async (t) => {
  for (const value of [
    '', 'Bearer', 'Bearer ', 'Bearer   ', 'a.b.c', 'Bearera.b.c', ' Bearer a.b.c', 'Bearer\ta.b.c', 'Bearer: a.b.c', 'Bearer a b',
    'Bearer a.b.c, Bearer d.e.f', 'Basic YWRhOnNlY3JldA==', 'Digest username="ada"', 'Token a.b.c', 'x Bearer a.b.c', 'Bearer a.b.c\n'
  ]) {
    t.throws(() => findIn('Authorization', value), SCHEME, JSON.stringify(value))
  }
})

test('a header of another scheme is left aside if another source has a token', async (t) => {
  for (const value of ['Basic YWRhOnNlY3JldA==', 'Digest username="ada"', 'Negotiate YWRh', 'Bearers a', 'a.b.c', '']) {
    const rawHeaders = ['Authorization', value]
    t.strictSame(find({ rawHeaders, protocols: ['roomcast.v1', 'bearer.a'] }), { token: 'a', fromCookie: false }, value)
    t.strictSame(find({ rawHeaders, query: 'a' }), { token: 'a', fromCookie: false }, value)
    t.strictSame(find({ rawHeaders, cookie: 'session=a' }, 'session'), { token: 'a', fromCookie: true }, value)
    t.throws(() => find({ rawHeaders, protocols: ['bearer.a'], query: 'b' }), SEVERAL, value)
    t.throws(() => find({ rawHeaders, cookie: 'other=a' }, 'session'), SCHEME, value)
  }
})

test('a header of the scheme Bearer without a token is refused although another source has one', async (t) => {
  for (const value of ['Bearer', 'bearer ', 'Bearer a b', 'Bearer: a', 'Bearer, Basic b', ' Bearer\ta', 'Bearer a, Bearer b']) {
    for (const other of [{ protocols: ['bearer.a'] }, { query: 'a' }, { cookie: 'session=a' }]) {
      t.throws(() => find({ rawHeaders: ['Authorization', value], ...other }, 'session'), SCHEME, value)
    }
  }
})

test('two headers with tokens are refused, also those that Node would ignore', async (t) => {
  t.throws(() => findIn('Authorization', 'Bearer a', 'Authorization', 'Bearer b'), SEVERAL)
  t.throws(() => findIn('Authorization', 'Bearer a', 'Host', 'x', 'authorization', 'Bearer a'), SEVERAL, 'even with the same token')
  t.equal(findIn('Authorization', 'Bearer a', 'Authorization', 'Basic b').token, 'a', 'except one of another scheme')
  t.equal(findIn('Authorization', 'Basic b', 'Authorization', 'Bearer a').token, 'a')
  t.throws(() => findIn('Authorization', 'Bearer a', 'Authorization', 'Basic b', 'Authorization', 'Bearer a'), SEVERAL)
})

test('only the names of headers are compared, and only the whole name', async (t) => {
  for (const rawHeaders of [
    ['X-Name', 'Authorization', 'Bearer a', 'x'],
    ['Proxy-Authorization', 'Bearer a'],
    ['X-Authorization', 'Bearer a'],
    ['Authorization2', 'Bearer a'],
    ['Authorisation', 'Bearer a'],
    ['Host', 'x', 'Authorization'] // The name is the last entry: it has no value.
  ]) {
    t.throws(() => find({ rawHeaders }), NONE, rawHeaders.join())
  }
})

test('a protocol carries a token behind bearer, wherever it stands in the list', async (t) => {
  t.strictSame(find({ protocols: ['roomcast.v1', 'bearer.a.b.c'] }), { token: 'a.b.c', fromCookie: false })
  t.strictSame(find({ protocols: ['bearer.a.b.c', 'roomcast.v1'] }), { token: 'a.b.c', fromCookie: false })
  t.equal(find({ protocols: ['bearer.bearer.a'] }).token, 'bearer.a')
  t.equal(find({ protocols: ['bearer.'] }).token, '', 'an empty token is one: verification refuses it')
  t.throws(() => find({ protocols: ['bearer', 'Bearer.a', 'xbearer.a'] }), NONE)
  t.throws(() => find({ protocols: ['bearer.a', 'bearer.b'] }), SEVERAL)
})

test('a URL carries a token once', async (t) => {
  t.strictSame(find({ query: 'a.b.c' }), { token: 'a.b.c', fromCookie: false })
  t.strictSame(find({ query: ['a.b.c'] }), { token: 'a.b.c', fromCookie: false })
  t.equal(find({ query: '' }).token, '', 'an empty token is one: verification refuses it')
  for (const query of [['a', 'b'], ['a', 'a'], ['a', ''], ['', '']]) t.throws(() => find({ query }), SEVERAL)
})

test('tokens in two places are refused, even if they are the same', async (t) => {
  const places: Partial<TokenSources>[] = [
    { rawHeaders: ['Authorization', 'Bearer a'] }, { protocols: ['roomcast.v1', 'bearer.a'] }, { query: 'a' }
  ]
  for (const place of places) {
    for (const other of places) if (other !== place) t.throws(() => find({ ...place, ...other }), SEVERAL)
  }
  t.throws(() => find(Object.assign({}, ...places) as TokenSources), SEVERAL)
  t.throws(() => find({ protocols: ['bearer.a'], query: '' }), SEVERAL, 'an empty one counts')
})

test('a cookie carries a token under the name of the setting alone', async (t) => {
  t.strictSame(findCookie('session=a.b.c'), { token: 'a.b.c', fromCookie: true })
  t.strictSame(findCookie('theme=dark; session=a.b.c; lang=en'), { token: 'a.b.c', fromCookie: true })
  for (const cookie of [
    undefined, '', ';', 'session', 'a.b.c', '=a.b.c', 'Session=a', 'xsession=a', 'session2=a', 'theme=session=a', 'theme; session'
  ]) {
    t.throws(() => findCookie(cookie), NONE, String(cookie))
  }
  t.throws(() => find({ cookie: 'session=a; undefined=b' }), NONE, 'without a setting no cookie is read')
})

test('spaces around the name and the value of a cookie are not part of them', async (t) => {
  for (const cookie of ['  session = a.b.c  ', 'theme=dark;session=a.b.c', 'theme=dark ;\t session=a.b.c ; x=y', ';; session=a.b.c;;']) {
    t.equal(findCookie(cookie).token, 'a.b.c', cookie)
  }
  t.equal(findCookie('session=a b').token, 'a b')
  t.equal(findCookie('session=a=b==').token, 'a=b==', 'the first = ends the name')
})

test('the first of two cookies with one name counts', async (t) => {
  t.equal(findCookie('session=a; session=b').token, 'a')
  t.equal(findCookie('session; session=b; session=c').token, 'b', 'an entry without a value is no cookie')
  t.strictSame(findCookie('session=; session=b'), { token: '', fromCookie: true }, 'an empty value is one')
})

test('a name of a cookie is compared as text', async (t) => {
  t.equal(findCookie('sXssion=a; s.ssion=b', 's.ssion').token, 'b')
  t.equal(findCookie('__Host-session=a', '__Host-session').token, 'a')
  t.equal(findCookie('__proto__=a', '__proto__').token, 'a')
})

test('every other source comes before the cookie', async (t) => {
  const cookie = 'session=cookie'
  for (const some of [{ rawHeaders: ['Authorization', 'Bearer a'] }, { protocols: ['bearer.a'] }, { query: 'a' }]) {
    t.strictSame(find({ ...some, cookie }, 'session'), { token: 'a', fromCookie: false })
  }
  t.strictSame(find({ query: '', cookie }, 'session'), { token: '', fromCookie: false }, 'an empty token too')
  t.throws(() => find({ query: ['a', 'b'], cookie }, 'session'), SEVERAL)
})
