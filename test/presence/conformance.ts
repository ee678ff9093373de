import { randomBytes } from 'node:crypto'
import { test, type Test } from 'tap'
import type { Presence } from '../../src/presence/presence.ts'
import { until } from '../support/until.ts'

/** A presence from its factory; `listen` was not called. */
export interface PresenceUnderTest {
  presence: Presence
  /** The presence of another instance on the same backend; the same object if there are no other instances. */
  other: Presence
  /** Adds an instance that can be lost. */
  another?: () => Promise<Losable>
  /** Stops the backend; the returned function starts it again, with its data or empty. */
  stopBackend?: (data: 'kept' | 'lost') => Promise<() => Promise<void>>
  /** Closes all instances and removes their state. */
  cleanup: () => Promise<void>
}

export interface Losable {
  presence: Presence
  /** Ends the instance without a goodbye. The others notice it later. */
  lose: () => Promise<void>
  /** Whether the other instances have finished with the lost one. */
  isCleared: () => Promise<boolean>
}

export type MakePresence = () => Promise<PresenceUnderTest>

/** Names that a careless pattern, field or object would confuse. */
const ODD_NAMES = [
  'ada', 'Ada', 'ada ', ' ada', 'a d a', 'grüße', '名前', '👋🏽', 'é', 'e\u0301', '\u202eabc', '\u00a0',
  '%', '%s', '%S+', '^(%S+) (.*)$', '%%1', '.', '*', '-1', '0', '1', 'nil', 'null',
  '__proto__', 'constructor', '{room}', '}', ':', '"', '\'', '\\', '\\n', `${'0123456789abcdef'} ada`, 'x'.repeat(255)
]

interface Announced {
  by: 'presence' | 'other'
  room: string
  user: string
  members: number
}

/** A room name that no other test uses. */
function roomName (label = 'room'): string {
  return `test:${label}:${randomBytes(6).toString('hex')}`
}

/** Counts the members of a room: a visitor enters and leaves. */
async function countMembers (presence: Presence, room: string): Promise<number | undefined> {
  const visitor = `visitor ${randomBytes(6).toString('hex')}`
  await presence.enter(room, visitor)
  return await presence.leave(room, visitor)
}

/**
 * Checks the guarantees of the `Presence` interface. Each test has separate instances and rooms.
 *
 * @param name name of the implementation, in front of every title
 */
export function conformance (name: string, makePresence: MakePresence): void {
  const start = async (t: Test) => {
    const made = await makePresence()
    t.teardown(made.cleanup)
    const announced: Announced[] = []
    made.presence.listen((room, user, members) => { announced.push({ by: 'presence', room, user, members }) })
    if (made.other !== made.presence) made.other.listen((room, user, members) => { announced.push({ by: 'other', room, user, members }) })
    return { ...made, announced }
  }

  test(`${name}: a user who enters or leaves changes the number of members of their room`, async (t) => {
    const { presence, other } = await start(t)
    const [room, neighbour] = [roomName(), roomName()]
    t.equal(await presence.enter(room, 'ada'), 1)
    t.equal(await other.enter(room, 'bob'), 2)
    t.equal(await presence.enter(neighbour, 'ada'), 1, 'rooms are apart')
    t.equal(await presence.enter(room, 'cleo'), 3)
    t.equal(await other.leave(room, 'bob'), 2)
    t.equal(await presence.leave(room, 'ada'), 1)
    t.equal(await presence.leave(room, 'cleo'), 0)
    t.equal(await presence.leave(neighbour, 'ada'), 0)
    t.equal(await presence.enter(room, 'ada'), 1, 'a room can be entered again')
  })

  test(`${name}: several connections of a user are one member`, async (t) => {
    const { presence } = await start(t)
    const room = roomName()
    t.equal(await presence.enter(room, 'ada'), 1)
    for (let i = 0; i < 3; i++) t.equal(await presence.enter(room, 'ada'), undefined)
    t.equal(await presence.enter(room, 'bob'), 2)
    for (let i = 0; i < 3; i++) t.equal(await presence.leave(room, 'ada'), undefined)
    t.equal(await presence.leave(room, 'ada'), 1, 'until the last connection leaves')
    t.equal(await presence.enter(room, 'ada'), 2)
  })

  test(`${name}: a user on two instances is one member until both have lost them`, async (t) => {
    const { presence, other } = await start(t)
    const room = roomName()
    t.equal(await presence.enter(room, 'ada'), 1)
    t.equal(await other.enter(room, 'ada'), undefined)
    t.equal(await other.enter(room, 'bob'), 2)
    t.equal(await presence.leave(room, 'ada'), undefined)
    t.equal(await presence.enter(room, 'ada'), undefined, 'the user moves unnoticed')
    t.equal(await other.leave(room, 'ada'), undefined)
    t.equal(await presence.leave(room, 'ada'), 1)
    t.equal(await other.leave(room, 'bob'), 0)
  })

  test(`${name}: a leave without an enter changes nothing`, async (t) => {
    const { presence, other } = await start(t)
    const room = roomName()
    t.equal(await presence.leave(room, 'ada'), undefined, 'an unknown room')
    t.equal(await presence.enter(room, 'ada'), 1)
    t.equal(await presence.leave(room, 'bob'), undefined, 'an unknown user')
    t.equal(await presence.leave(room, 'ada'), 0)
    t.equal(await presence.leave(room, 'ada'), undefined, 'a second leave')
    t.equal(await other.enter(room, 'ada'), 1)
    if (other !== presence) t.equal(await presence.leave(room, 'ada'), undefined, 'a user of another instance')
    t.equal(await other.enter(room, 'bob'), 2)
  })

  test(`${name}: calls for a room take effect in their order, whether or not they are awaited`, async (t) => {
    const { presence, other } = await start(t)
    const room = roomName()
    const results: Promise<number | undefined>[] = []
    for (let i = 0; i < 50; i++) {
      results.push(presence.enter(room, 'ada'), presence.enter(room, 'bob'), presence.leave(room, 'ada'), presence.leave(room, 'bob'))
    }
    results.push(presence.enter(room, 'ada'))
    t.strictSame(await Promise.all(results), [...Array.from({ length: 50 }, () => [1, 2, 1, 0]).flat(), 1])
    t.equal(await countMembers(other, room), 1)
  })

  test(`${name}: user names of any kind stay apart`, async (t) => {
    const { presence, other } = await start(t)
    const room = roomName()
    for (const [i, user] of ODD_NAMES.entries()) {
      t.equal(await (i % 2 === 0 ? presence : other).enter(room, user), i + 1, `enter ${JSON.stringify(user)}`)
    }
    for (const [i, user] of ODD_NAMES.entries()) {
      t.equal(
        await (i % 2 === 0 ? presence : other).leave(room, user),
        ODD_NAMES.length - i - 1,
        `leave ${JSON.stringify(user)}`
      )
    }
  })

  test(`${name}: a large room counts every member`, async (t) => {
    const { presence, other } = await start(t)
    const room = roomName('large')
    const users = Array.from({ length: 5_000 }, (_, i) => `user-${i}`)
    const counts = await Promise.all(users.map(async (user) => await presence.enter(room, user)))
    t.strictSame(counts, users.map((_, i) => i + 1))
    t.equal(await other.enter(room, 'one more'), 5_001)
    const left = await Promise.all(users.map(async (user) => await presence.leave(room, user)))
    t.strictSame(left, users.map((_, i) => 5_000 - i))
    t.equal(await other.leave(room, 'one more'), 0)
  })

  test(`${name}: the members of a lost instance are removed, and announced once with the number of members left`, async (t) => {
    const { presence, other, announced, another } = await start(t)
    if (another === undefined) {
      t.pass('there are no other instances')
      return
    }
    const lost = await another()
    lost.presence.listen(() => { t.fail('the lost instance announces nothing') })
    const [room, empty, odd] = [roomName(), roomName(), roomName()]
    await presence.enter(room, 'stays')
    for (const user of ['both', 'ada', 'bob']) await lost.presence.enter(room, user)
    await other.enter(room, 'both')
    await lost.presence.enter(empty, 'ada')
    for (const user of ODD_NAMES) await lost.presence.enter(odd, user)
    await lost.presence.enter(room, 'left')
    await lost.presence.leave(room, 'left')
    t.equal(await countMembers(presence, room), 4)

    await lost.lose()
    await until(lost.isCleared, 'the lost instance to be cleared')
    const inRoom = announced.filter((one) => one.room === room)
    t.strictSame(inRoom.map(({ user }) => user).sort(), ['ada', 'bob'], 'a user of another instance stays a member')
    t.strictSame(inRoom.map(({ members }) => members), [3, 2])
    t.match(announced.filter((one) => one.room === empty), [{ user: 'ada', members: 0 }])
    t.strictSame(announced.filter((one) => one.room === odd).map(({ user }) => user).sort(), ODD_NAMES.toSorted())
    t.equal(new Set(announced.map(({ by }) => by)).size, 1, 'one instance announces')
    t.equal(await countMembers(presence, room), 2)
    t.equal(await presence.enter(room, 'both'), undefined, 'still a member')
    t.equal(await presence.enter(room, 'ada'), 3, 'a new member again')
    t.equal(await presence.enter(empty, 'ada'), 1)
  })

  for (const data of ['kept', 'lost'] as const) {
    test(`${name}: the members are right after an outage with all data ${data}`, async (t) => {
      const { presence, other, announced, stopBackend } = await start(t)
      if (stopBackend === undefined) {
        t.pass('the backend does not restart')
        return
      }
      const [first, second, quiet] = [roomName(), roomName(), roomName()]
      for (const user of ['ada', 'goes', 'goes too']) await presence.enter(first, user)
      for (const user of ['both', 'bob', 'goes', 'goes too']) await other.enter(second, user)
      await presence.enter(second, 'both')
      for (const user of ODD_NAMES) await presence.enter(quiet, user)

      const startBackend = await stopBackend(data)
      const changes = [presence.enter(first, 'comes'), presence.leave(first, 'goes'), presence.leave(first, 'goes too')]
      changes.push(other.enter(second, 'comes'), other.leave(second, 'goes'), other.leave(second, 'goes too'), other.leave(second, 'both'))
      t.strictSame(await Promise.all(changes), changes.map(() => undefined), 'changes during the outage are not announced')
      await startBackend()
      await until(async () => await countMembers(other, first) === 2, 'ada and comes')
      await until(async () => await countMembers(other, second) === 3, 'both, bob and comes')
      await until(async () => await countMembers(other, quiet) === ODD_NAMES.length, 'the other room')
      t.equal(await presence.enter(first, 'goes'), 3, 'not a member any more')
      t.equal(await other.leave(second, 'bob'), 2)
      t.equal(await presence.leave(second, 'both'), 1, 'the other instance does not have them any more')
      t.equal(await other.leave(second, 'comes'), 0)
      t.strictSame(announced, [])
    })
  }
}
