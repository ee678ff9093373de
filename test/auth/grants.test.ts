import { test } from 'tap'
import { ACTIONS, Grants, InvalidGrants } from '../../src/auth/grants.ts'

const EVERY_ACTION = Object.values(ACTIONS).reduce((sum, bit) => sum | bit, 0)

/** Whether a pattern that grants joining matches a room, for a user. */
function matches (pattern: string, room: string, user = 'ada'): boolean {
  return Grants.compile({ [pattern]: ['join'] }, user).allow('join', room)
}

test('a pattern matches segment by segment', async (t) => {
  const cases: [pattern: string, room: string, expected: boolean][] = [
    ['lobby', 'lobby', true],
    ['lobby', 'lobb', false],
    ['lobby', 'lobbyy', false],
    ['lobby', 'Lobby', false],
    ['lobby', 'lobby:', false],
    ['lobby', 'lobby:a', false],
    ['lo.by', 'lobby', false],
    ['lo|bby', 'lo', false],
    ['*', 'lobby', true],
    ['*', 'a:b', false],
    ['chat:*', 'chat:1', true],
    ['chat:*', 'chat:', true],
    ['chat:*', 'chat', false],
    ['chat:*', 'chat:1:2', false],
    ['chat:*', 'chats:1', false],
    ['*:*', 'a:b', true],
    ['*:b', 'a:b', true],
    ['*:b', 'a:c', false],
    ['a:*:c', 'a:b:c', true],
    ['a:*:c', 'a:b:d', false],
    ['**', 'lobby', true],
    ['**', 'a:b:c:d', true],
    ['a:**', 'a:b', true],
    ['a:**', 'a:b:c', true],
    ['a:**', 'a', false],
    ['a:**', 'ab', false],
    ['a:**', 'b:a', false],
    ['a:*:**', 'a:b', false],
    ['a:*:**', 'a:b:c:d', true]
  ]
  for (const [pattern, room, expected] of cases) {
    t.equal(matches(pattern, room), expected, `${pattern} ${expected ? 'matches' : 'does not match'} ${room}`)
  }
})

test('{sub} is the user as one literal segment, whatever is in the name', async (t) => {
  t.ok(matches('user:{sub}', 'user:ada'))
  t.ok(matches('user:{sub}:**', 'user:ada:inbox:1'))
  t.notOk(matches('user:{sub}', 'user:bob'))
  t.notOk(matches('user:{sub}', 'user:{sub}'))
  t.notOk(matches('user-{sub}', 'user-ada'), 'only as a whole segment')
  for (const user of ['*', '**', '{sub}', 'a:b', '@all', ':', 'user:*']) {
    t.notOk(matches('user:{sub}', 'user:ada', user), `${user} is no pattern`)
    t.notOk(matches('user:{sub}', 'user:a:b', user))
    t.notOk(matches('user:{sub}:**', 'user:ada:inbox', user))
    t.notOk(matches('{sub}', 'ada', user))
  }
  t.ok(matches('user:{sub}', 'user:*', '*'), 'but it is itself')
})

test('names that start with @ match only patterns that start with @', async (t) => {
  for (const pattern of ['**', '*', '*:*', '*:**', '{sub}', '{sub}:**']) {
    for (const room of ['@all', '@server', '@user:ada']) t.notOk(matches(pattern, room, '@all'), `${pattern} and ${room}`)
  }
  t.ok(matches('@all', '@all'))
  t.ok(matches('@user:*', '@user:bob'))
  t.ok(matches('@user:{sub}', '@user:ada'))
  t.ok(matches('@user:bob', '@user:bob'))
  t.notOk(matches('@user:{sub}', '@user:bob'))
  t.notOk(matches('@all', 'all'))
  t.notOk(matches('@user:*', 'user:bob'))
})

test("a user's own room is two segments, whatever the name", async (t) => {
  for (const user of ['auth0|1:2', 'a:b:c', '*', '**', '@all', 'grüße 👋']) {
    t.ok(matches('@user:*', `@user:${user}`))
    t.ok(matches('@user:{sub}', `@user:${user}`, user))
    t.notOk(matches('@user:{sub}', `@user:${user}`))
    t.notOk(matches('@user:*:*', `@user:${user}`))
  }
  t.notOk(matches('@user:{sub}', '@user:a:b', 'a'), 'not the beginning of a name')
})

test('actions are granted one by one, and * is all of them', async (t) => {
  for (const [action, bit] of Object.entries(ACTIONS)) {
    const grants = Grants.compile({ lobby: [action] }, 'ada')
    t.equal(grants.actionsIn('lobby'), bit)
    for (const other of Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]) t.equal(grants.allow(other, 'lobby'), other === action)
  }
  t.equal(Grants.compile({ lobby: ['*'] }, 'ada').actionsIn('lobby'), EVERY_ACTION)
  t.equal(Grants.compile({ lobby: ['join', '*', 'join'] }, 'ada').actionsIn('lobby'), EVERY_ACTION)
  t.equal(Grants.compile({ lobby: [] }, 'ada').actionsIn('lobby'), 0)
  t.equal(Grants.compile({}, 'ada').actionsIn('lobby'), 0, 'no grants, nothing granted')
})

test('grants add up, and nothing denies', async (t) => {
  const grants = Grants.compile({ '**': ['history'], 'chat:*': ['join'], 'chat:1': ['publish'], 'chat:2': [] }, 'ada')
  t.equal(grants.actionsIn('chat:1'), ACTIONS.history | ACTIONS.join | ACTIONS.publish)
  t.equal(grants.actionsIn('chat:2'), ACTIONS.history | ACTIONS.join)
  t.equal(grants.actionsIn('lobby'), ACTIONS.history)
})

test('everything is everything everywhere', async (t) => {
  for (const room of ['lobby', 'a:b:c', '@all', '@server', '@user:a:b']) t.equal(Grants.everything.actionsIn(room), EVERY_ACTION)
})

test('patterns and actions that are properties of every object are nothing special', async (t) => {
  for (const action of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    t.throws(() => Grants.compile({ lobby: [action] }, 'ada'), InvalidGrants)
  }
  const claim: unknown = JSON.parse('{"__proto__":["join"],"constructor":["publish"]}')
  const grants = Grants.compile(claim, 'ada')
  t.equal(grants.actionsIn('__proto__'), ACTIONS.join)
  t.equal(grants.actionsIn('constructor'), ACTIONS.publish)
  t.equal(grants.actionsIn('toString'), 0)
})

test('a claim that cannot be granted is refused, and says what is wrong with it', async (t) => {
  const cases: [claim: unknown, says: RegExp][] = [
    [null, /object/],
    [undefined, /object/],
    ['**', /object/],
    [1, /object/],
    [true, /object/],
    [['join'], /object/],
    [{ lobby: 'join' }, /"lobby".*not a list/],
    [{ lobby: null }, /not a list/],
    [{ lobby: { join: true } }, /not a list/],
    [{ lobby: ['fly'] }, /"lobby" are join, publish, history, members, manage and \*/],
    [{ lobby: ['JOIN'] }, /join, publish/],
    [{ lobby: [1] }, /join, publish/],
    [{ lobby: [['join']] }, /join, publish/],
    [{ lobby: [null] }, /join, publish/],
    [{ 'chat*': ['join'] }, /"chat\*".*whole segment/],
    [{ '*chat:a': ['join'] }, /whole segment/],
    [{ '***': ['join'] }, /whole segment/],
    [{ '**:a': ['join'] }, /not the last/],
    [{ 'a:**:**': ['join'] }, /not the last/],
    [Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`room${i}`, ['join']])), /at most 64 patterns/],
    [{ ['x'.repeat(8_192)]: ['join'] }, /at most 8192 bytes/],
    [{ ['ü'.repeat(4_096)]: ['join'] }, /at most 8192 bytes/],
    [{ lobby: Array.from({ length: 2_000 }, () => 'join') }, /at most 8192 bytes/]
  ]
  for (const [claim, says] of cases) {
    t.throws(() => Grants.compile(claim, 'ada'), { name: 'InvalidGrants', message: says })
  }
  t.throws(() => Grants.compile({ ['*'.repeat(5_000)]: ['join'] }, 'ada'), { message: /^.{1,300}$/ }, 'without repeating all of it')
})

test('a claim may be as big as the bounds', async (t) => {
  const grants = Grants.compile(Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`room${i}`, ['join']])), 'ada')
  t.ok(grants.allow('join', 'room63'))
  const pattern = 'x'.repeat(8_192 - '{"":["join"]}'.length)
  t.ok(Grants.compile({ [pattern]: ['join'] }, 'ada').allow('join', pattern))
})
