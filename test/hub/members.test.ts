import { test } from 'tap'
import { Hub } from '../../src/hub/hub.ts'
import { Members, type Membership } from '../../src/hub/members.ts'
import { Random } from '../chaos/random.ts'
import { connectTo, RecordingTransport } from './recorder.ts'

const ROOM = new Hub().open('room')

function add (members: Members): Membership {
  return members.add(ROOM, connectTo(new RecordingTransport()), 0)
}

function addMany (members: Members, count: number): Membership[] {
  return Array.from({ length: count }, () => add(members))
}

/** The slots as numbers of the members in a list; undefined for a free slot. */
function slotsOf (members: Members, all: readonly Membership[]): (number | undefined)[] {
  return members.slots.map((membership) => membership === undefined ? undefined : all.indexOf(membership))
}

/** Members that do not stand in the slot that they know. */
function misplaced ({ slots }: Members): (Membership | undefined)[] {
  return slots.filter((membership, i) => membership !== undefined && membership.index !== i)
}

test('a member stands behind the others, with its room, its connection and its actions', async (t) => {
  const members = new Members()
  t.equal(members.size, 0)
  t.equal(members.slots.length, 0)
  const connections = [connectTo(new RecordingTransport()), connectTo(new RecordingTransport())]
  const all = connections.map((connection, i) => members.add(ROOM, connection, i + 5))
  all.forEach((membership, i) => {
    t.equal(membership.room, ROOM)
    t.equal(membership.connection, connections[i])
    t.equal(membership.actions, i + 5)
    t.equal(membership.index, i)
    t.equal(members.slots[i], membership)
  })
  t.equal(members.size, 2)
})

test('one connection may be a member of several rooms, each with its own slots', async (t) => {
  const [here, there] = [new Members(), new Members()]
  const connection = connectTo(new RecordingTransport())
  add(there)
  const one = here.add(ROOM, connection, 0)
  const other = there.add(ROOM, connection, 0)
  t.strictSame([one.index, other.index], [0, 1])
  t.equal(here.remove(other, false), false, 'it is a member elsewhere')
  t.equal(there.remove(one, false), false)
  t.strictSame([here.size, there.size], [1, 2])
})

test('the last member takes the slot of a removed one between batches', async (t) => {
  const members = new Members()
  const all = addMany(members, 4)
  t.equal(members.remove(all[1] as Membership, false), true)
  t.strictSame(slotsOf(members, all), [0, 3, 2])
  t.equal(all[3]?.index, 1)
  t.equal(members.remove(all[2] as Membership, false), true)
  t.strictSame(slotsOf(members, all), [0, 3], 'the last one leaves no slot')
  t.equal(members.remove(all[3] as Membership, false), true)
  t.equal(members.remove(all[0] as Membership, false), true)
  t.equal(members.size, 0)
  t.equal(members.slots.length, 0)
})

test('a member is removed once, although another one has its slot', async (t) => {
  const members = new Members()
  const all = addMany(members, 3)
  const [first] = all as [Membership]
  t.equal(members.remove(first, false), true)
  for (const keepsSlots of [false, true]) t.equal(members.remove(first, keepsSlots), false)
  t.strictSame(slotsOf(members, all), [2, 1])
  t.equal(members.size, 2)
})

test('a removal leaves a free slot while a batch is written, and the others keep theirs', async (t) => {
  const members = new Members()
  const all = addMany(members, 5)
  for (const i of [1, 4, 0]) t.equal(members.remove(all[i] as Membership, true), true)
  t.strictSame(slotsOf(members, all), [undefined, undefined, 2, 3, undefined])
  t.equal(members.size, 2)
  t.strictSame(all.map(({ index }) => index), [0, 1, 2, 3, 4])
  t.equal(members.remove(all[1] as Membership, true), false, 'its slot is free already')
  t.equal(members.size, 2)
})

test('a batch reaches each member once, although members are removed before, at and behind its place', async (t) => {
  const members = new Members()
  const all = addMany(members, 6)
  const reached: (number | undefined)[] = []
  for (let i = 0; i < members.slots.length; i++) {
    const membership = members.slots[i]
    if (membership === undefined) continue
    reached.push(all.indexOf(membership))
    // A write closes a slow consumer, and others close themselves meanwhile.
    if (i === 2) for (const gone of [0, 2, 4]) members.remove(all[gone] as Membership, true)
  }
  t.strictSame(reached, [0, 1, 2, 3, 5])
  members.closeFreeSlots()
  t.strictSame(slotsOf(members, all), [1, 3, 5])
})

test('free slots are closed after a batch, and the order of the members stays', async (t) => {
  const cases: [number[], number[]][] = [
    [[], [0, 1, 2, 3, 4]], [[0], [1, 2, 3, 4]], [[4], [0, 1, 2, 3]], [[2], [0, 1, 3, 4]], [[0, 1, 2], [3, 4]], [[0, 2, 4], [1, 3]],
    [[4, 3], [0, 1, 2]], [[0, 1, 2, 3, 4], []]
  ]
  for (const [gone, rest] of cases) {
    const members = new Members()
    const all = addMany(members, 5)
    for (const i of gone) members.remove(all[i] as Membership, true)
    members.closeFreeSlots()
    t.strictSame(slotsOf(members, all), rest)
    t.strictSame(misplaced(members), [])
    t.equal(members.size, rest.length)
    members.closeFreeSlots()
    t.strictSame(slotsOf(members, all), rest, 'no slot is free any more')
    all.push(add(members))
    t.strictSame(slotsOf(members, all), [...rest, 5])
    for (const i of [...rest, 5]) t.equal(members.remove(all[i] as Membership, false), true)
    t.equal(members.slots.length, 0)
  }
})

for (const seed of [1, 2, 3, 4]) {
  test(`thousands of additions, removals and batches leave the slots in order (seed ${seed})`, async (t) => {
    const random = new Random(seed)
    const members = new Members()
    const present = new Set<Membership>()
    const gone: Membership[] = []
    /** The slots at the start of a batch, and the slots that the batch has written to. */
    let before: Membership[] | undefined
    const written = new Set<Membership>()
    let [next, biggest, batches] = [0, 0, 0]
    const fail = (step: number, text: string): never => { throw new Error(`step ${step}: ${text}`) }

    const write = (step: number): void => {
      const membership = members.slots[next++]
      if (membership === undefined) return
      if (written.has(membership)) fail(step, 'a member got the batch twice')
      written.add(membership)
    }

    const finish = (step: number, atStart: Membership[]): void => {
      while (next < members.slots.length) write(step)
      for (const membership of present) if (!written.has(membership)) fail(step, 'a member did not get the batch')
      members.closeFreeSlots()
      const rest = atStart.filter((membership) => present.has(membership))
      if (members.slots.some((membership, i) => membership !== rest[i])) fail(step, 'the order has changed')
      before = undefined
      batches++
    }

    const check = (step: number): void => {
      if (members.size !== present.size) fail(step, `${members.size} members instead of ${present.size}`)
      if (misplaced(members).length > 0) fail(step, 'a member does not know its slot')
      const taken = members.slots.filter((membership) => membership !== undefined)
      if (taken.length !== present.size || taken.some((membership) => !present.has(membership))) fail(step, 'the slots hold others')
      if (before === undefined && taken.length !== members.slots.length) fail(step, 'a slot is free without a batch')
      if (before?.some((membership, i) => members.slots[i] !== (present.has(membership) ? membership : undefined)) === true) {
        fail(step, 'a slot has changed within a batch')
      }
    }

    for (let step = 0; step < 5_000; step++) {
      const chance = random.between(0, 99)
      const isGrowing = Math.floor(step / 500) % 2 === 0
      if (chance < 5 && before === undefined) {
        before = members.slots.filter((membership) => membership !== undefined)
        written.clear()
        next = 0
      } else if (chance < 10 && before !== undefined) finish(step, before)
      else if (chance < 30 && before !== undefined) write(step)
      else if (chance < (isGrowing ? 75 : 50) && before === undefined) present.add(add(members)) // A room adds only between batches.
      else if (chance < 90 && present.size > 0) {
        const membership = random.pick([...present])
        present.delete(membership)
        gone.push(membership)
        if (!members.remove(membership, before !== undefined)) fail(step, 'a member could not be removed')
      } else if (gone.length > 0 && members.remove(random.pick(gone), before !== undefined)) fail(step, 'a member was removed twice')
      check(step)
      biggest = Math.max(biggest, members.size)
    }
    if (before !== undefined) finish(5_000, before)
    check(5_000)
    for (const membership of present) members.remove(membership, false)
    t.equal(members.size, 0)
    t.equal(members.slots.length, 0)
    t.ok(biggest > 20 && batches > 50, `${biggest} members at most, ${batches} batches`)
  })
}
