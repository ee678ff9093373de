import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'tap'
import type { Connection } from '../../src/hub/connection.ts'
import { Hub } from '../../src/hub/hub.ts'
import { Backlog } from '../../src/hub/backlog.ts'
import { Room } from '../../src/hub/room.ts'
import type { Membership } from '../../src/hub/members.ts'
import { deliver, connectTo, join, type Member, message, notice, parseWire, RecordingTransport } from './recorder.ts'

/** More members than one turn of the event loop writes to. */
const BIG = 10_000

function upTo (count: number, first = 1): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}

/** Turns the event loop until nothing waits any more. */
async function settled (hub: Hub): Promise<void> {
  for (let i = 0; hub.backlog.bytes > 0; i++) {
    if (i > 10_000) throw new Error('the backlog never empties')
    await turn()
  }
  await turn()
}

/** A room of so many members that writing one message to them takes several turns. */
function bigRoom (hub: Hub, name = 'big', count = BIG): { room: Room, members: Member[] } {
  const room = hub.open(name)
  return { room, members: upTo(count).map(() => join(room)) }
}

/** How many members have been written to. */
function reached (members: Member[]): number {
  return members.filter(({ transport }) => transport.chunks.length > 0).length
}

/** Checks what every member got, with one assertion for all. */
function wrongOnes (members: Member[], words: unknown[]): number {
  const expected = JSON.stringify(words)
  return members.filter(({ transport }) => JSON.stringify(transport.words) !== expected).length
}

test('messages of one turn leave in one write, those of another turn in another', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  const members = [join(room), join(room)]
  deliver(hub, message('room', 1))
  deliver(hub, notice('room', 'system'))
  deliver(hub, message('room', 2, { text: 'zwölf' }))
  t.equal(reached(members), 0, 'nothing leaves within the turn')
  await turn()
  for (const { transport } of members) {
    t.equal(transport.chunks.length, 1)
    t.strictSame(transport.words, ['1', 'system', 'zwölf'])
  }
  t.equal(members[0]?.transport.chunks[0], members[1]?.transport.chunks[0], 'one buffer for everybody')
  deliver(hub, message('room', 3))
  await turn()
  t.equal(members[0]?.transport.chunks.length, 2)
  t.strictSame(members[0]?.transport.words, ['1', 'system', 'zwölf', '3'])
})

test('a member gets messages with everything that was published', async (t) => {
  const hub = new Hub()
  const { transport } = join(hub.open('@user:ada "the first"'))
  const fields = Buffer.from('"from":"bob","event":"e","data":{"a":[1,"ü"]}')
  deliver(hub, { kind: 'message', room: '@user:ada "the first"', position: { epoch: 'e', offset: 7 }, time: 1_234, fields })
  deliver(hub, {
    kind: 'message', room: '@user:ada "the first"', time: 1_235, fields: Buffer.from('"from":"bob"'), bytes: Buffer.from([1, 2, 0])
  })
  await turn()
  t.strictSame(transport.frames.map(({ opcode, payload }) => opcode === 1 ? JSON.parse(payload.toString()) as unknown : payload), [
    { type: 'message', room: '@user', offset: 7, time: 1_234, from: 'bob', event: 'e', data: { a: [1, 'ü'] } },
    { type: 'message', room: '@user', time: 1_235, from: 'bob', binary: 3 },
    Buffer.from([1, 2, 0])
  ])
})

test('much in one turn leaves in several writes, in order', async (t) => {
  const hub = new Hub()
  const { transport } = join(hub.open('room'))
  const text = 'x'.repeat(50_000)
  for (const offset of upTo(20)) deliver(hub, message('room', offset, { text: `${offset}${text}` }))
  await settled(hub)
  t.strictSame(transport.json.map(({ offset }) => offset), upTo(20))
  t.ok(transport.chunks.length > 1, 'a megabyte is not one write')
  t.ok(transport.chunks.length < 20, 'but not twenty either')
  t.ok(transport.chunks.every((chunk) => chunk.length < 512 * 1_024))
})

test('a step runs at once when nothing waits, else behind what was delivered before it and ahead of what comes after', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  const { transport } = join(room)
  const order: string[] = []
  room.run(() => { order.push('at once') })
  t.strictSame(order, ['at once'])

  deliver(hub, message('room', 1))
  room.run(() => { order.push(`first, behind ${transport.words.join()}`) })
  room.run(() => { order.push(`second, behind ${transport.words.join()}`) })
  deliver(hub, message('room', 2))
  room.run(() => { order.push(`third, behind ${transport.words.join()}`) })
  t.strictSame(order, ['at once'], 'they wait')
  await settled(hub)
  t.strictSame(order, ['at once', 'first, behind 1', 'second, behind 1', 'third, behind 1,2'])
  t.equal(transport.chunks.length, 2, 'a step ends a batch')
})

test('a step of after waits for what was delivered before, and does not split the batch', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  const { transport, connection } = join(room)
  room.after(() => { connection.send({ type: 'pong' }) })
  t.strictSame(transport.words, ['pong'], 'at once when nothing waits')

  deliver(hub, message('room', 1))
  room.after(() => { connection.send({ type: 'ack', id: 1, room: 'room' }) })
  deliver(hub, message('room', 2))
  room.after(() => { connection.send({ type: 'ack', id: 2, room: 'room' }) })
  t.strictSame(transport.words, ['pong'])
  await turn()
  t.strictSame(transport.words, ['pong', '1', '2', 'ack', 'ack'])
  t.strictSame(parseWire(transport.chunks[1] as Buffer).length, 2, 'the messages left in one write')
  t.strictSame(transport.json.slice(3).map(({ id }) => id), [1, 2])
})

test('a step of after keeps its place behind other steps', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  join(room)
  const order: number[] = []
  deliver(hub, message('room', 1))
  room.run(() => { order.push(1) })
  room.after(() => { order.push(2) })
  deliver(hub, message('room', 2))
  room.after(() => { order.push(3) })
  room.run(() => { order.push(4) })
  await settled(hub)
  t.strictSame(order, [1, 2, 3, 4])
})

test('what is delivered or queued by a step is neither lost nor early', async (t) => {
  for (const by of ['run', 'after'] as const) {
    const hub = new Hub()
    const room = hub.open('room')
    const { transport } = join(room)
    deliver(hub, message('room', 1))
    room[by](() => {
      deliver(hub, message('room', 2))
      room.run(() => { deliver(hub, message('room', 3)) })
      room.after(() => { deliver(hub, message('room', 4)) })
    })
    await settled(hub)
    t.equal(transport.words[0], '1', by)
    t.strictSame(transport.words.toSorted(), ['1', '2', '3', '4'], by)
    t.equal(hub.backlog.bytes, 0)
    t.equal(room.waiting, false)
  }
})

test('who joins while messages wait gets those that follow, and stands at the position before them', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  join(room)
  deliver(hub, message('room', 1))
  deliver(hub, message('room', 2))
  const transport = new RecordingTransport()
  let position: unknown
  room.run(() => {
    position = room.position
    room.add(connectTo(transport), 0)
  })
  deliver(hub, message('room', 3))
  await settled(hub)
  t.strictSame(position, { epoch: 'e', offset: 2 })
  t.strictSame(transport.words, ['3'])
})

test('who joins while a big room is being written to sees neither a duplicate nor a hole', async (t) => {
  const hub = new Hub()
  const { room, members } = bigRoom(hub)
  deliver(hub, message('big', 1))
  deliver(hub, message('big', 2))
  await turn()
  t.ok(reached(members) > 0 && reached(members) < BIG, 'some have it, some have not')
  const transport = new RecordingTransport()
  let position: number | undefined
  room.run(() => {
    position = room.position?.offset
    room.add(connectTo(transport), 0)
  })
  t.equal(room.size, BIG, 'it waits')
  deliver(hub, message('big', 3))
  await turn()
  t.ok(reached(members) < BIG, 'still under way')
  deliver(hub, message('big', 4))
  await settled(hub)
  t.equal(position, 2)
  t.strictSame(transport.words, ['3', '4'])
  t.equal(wrongOnes(members, ['1', '2', '3', '4']), 0, 'the members before it see no difference')
  t.equal(room.size, BIG + 1)
})

test('who is removed while a big room is being written to gets nothing more', async (t) => {
  const hub = new Hub()
  const { room, members } = bigRoom(hub)
  deliver(hub, message('big', 1))
  await turn()
  const done = reached(members)
  t.ok(done > 0 && done < BIG)
  const leaving = members.filter((_, i) => i % 3 === 0)
  const staying = members.filter((_, i) => i % 3 !== 0)
  const had = leaving.filter(({ transport }) => transport.chunks.length > 0)
  const had0 = leaving.filter(({ transport }) => transport.chunks.length === 0)
  for (const { membership } of leaving) room.remove(membership)
  for (const { membership } of leaving) room.remove(membership) // Once more does nothing.
  t.equal(room.size, staying.length)
  t.ok(leaving.every(({ connection }) => !connection.memberships.has('big')))
  deliver(hub, message('big', 2))
  await settled(hub)
  deliver(hub, message('big', 3))
  await settled(hub)
  t.ok(had.length > 0 && had0.length > 0)
  t.equal(wrongOnes(had, ['1']), 0, 'who had it keeps it')
  t.equal(wrongOnes(had0, []), 0, 'who had not never gets it')
  t.equal(wrongOnes(staying, ['1', '2', '3']), 0, 'who stays gets everything once')
  t.equal(room.size, staying.length)
})

test('who leaves and comes back while a big room is being written to is there once', async (t) => {
  const hub = new Hub()
  const { room, members } = bigRoom(hub)
  deliver(hub, message('big', 1))
  await turn()
  const last = members.at(-1) as Member
  room.remove(last.membership)
  room.run(() => { room.add(last.connection, 0) })
  deliver(hub, message('big', 2))
  await settled(hub)
  t.strictSame(last.transport.words, ['2'])
  t.equal(room.size, BIG)
  const again = last.connection.memberships.get('big') as Membership
  room.remove(again)
  t.equal(room.size, BIG - 1)
})

test('everybody may go while a big room is being written to', async (t) => {
  const hub = new Hub()
  const { room, members } = bigRoom(hub)
  deliver(hub, message('big', 1))
  deliver(hub, message('big', 2))
  await turn()
  const done = reached(members)
  for (const { membership } of members) room.remove(membership)
  t.equal(room.size, 0)
  t.equal(hub.room('big'), undefined)
  await settled(hub)
  t.equal(reached(members), done)
  t.equal(hub.backlog.bytes, 0)
  t.equal(room.waiting, false)
})

test('a message is not for the origin it excludes, which gets the rest of the batch', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  const [tab, sameTab, otherTab] = [join(room, { origin: 'tab-1' }), join(room, { origin: 'tab-1' }), join(room, { origin: 'tab-2' })]
  deliver(hub, message('room', 1, { exclude: 'tab-1' }))
  deliver(hub, message('room', 2))
  deliver(hub, message('room', 3, { exclude: 'tab-1' }))
  deliver(hub, message('room', 4, { exclude: 'nobody' }))
  deliver(hub, message('room', 5, { exclude: 'tab-2' }))
  await settled(hub)
  t.strictSame(tab.transport.words, ['2', '4', '5'])
  t.strictSame(sameTab.transport.words, ['2', '4', '5'])
  t.strictSame(otherTab.transport.words, ['1', '2', '3', '4'])
  t.equal(tab.transport.chunks.length, 1, 'in one write')

  deliver(hub, message('room', 6, { exclude: 'tab-1' }))
  await settled(hub)
  t.equal(tab.transport.chunks.length, 1, 'no empty write')
  t.strictSame(otherTab.transport.words.at(-1), '6')
})

test('a notice is not for the user it is about, on none of their connections', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  // The names are made to be mistaken for origins.
  const [ada, adaToo, bob] = [join(room, { user: 'ada' }), join(room, { user: 'ada' }), join(room, { user: 'bob', origin: 'ada' })]
  deliver(hub, notice('room', 'one', 'ada'))
  deliver(hub, message('room', 1, { exclude: 'ada' }))
  deliver(hub, notice('room', 'two', 'bob'))
  deliver(hub, notice('room', 'three'))
  await settled(hub)
  t.strictSame(ada.transport.words, ['1', 'two', 'three'])
  t.strictSame(adaToo.transport.words, ['1', 'two', 'three'])
  t.strictSame(bob.transport.words, ['one', 'three'])
})

test('both halves of a binary message are left out together', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  const [tab, other] = [join(room, { origin: 'tab-1' }), join(room)]
  deliver(hub, message('room', 1, { exclude: 'tab-1', bytes: Buffer.from('secret') }))
  deliver(hub, message('room', 2))
  await settled(hub)
  t.strictSame(tab.transport.frames.map(({ opcode }) => opcode), [1])
  t.strictSame(other.transport.frames.map(({ opcode }) => opcode), [1, 2, 1])
})

test('a big room leaves out who is excluded in every slice', async (t) => {
  const hub = new Hub()
  const room = hub.open('big')
  const members = upTo(BIG).map((i) => join(room, { origin: `tab-${i % 2}` }))
  deliver(hub, message('big', 1, { exclude: 'tab-0' }))
  deliver(hub, message('big', 2))
  await settled(hub)
  t.equal(wrongOnes(members.filter(({ connection }) => connection.origin === 'tab-0'), ['2']), 0)
  t.equal(wrongOnes(members.filter(({ connection }) => connection.origin === 'tab-1'), ['1', '2']), 0)
})

test('what the room has had is dropped, and another epoch is another order', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  const { transport } = join(room)
  for (const offset of [1, 2, 2, 1, 3, 3]) deliver(hub, message('room', offset))
  await settled(hub)
  for (const offset of [3, 1, 4]) deliver(hub, message('room', offset))
  await settled(hub)
  t.strictSame(transport.words, ['1', '2', '3', '4'])
  t.strictSame(room.position, { epoch: 'e', offset: 4 })
  deliver(hub, message('room', 1, { position: { epoch: 'f', offset: 1 }, text: 'f1' }))
  deliver(hub, message('room', 1, { position: { epoch: 'f', offset: 1 }, text: 'f1' }))
  await settled(hub)
  t.strictSame(transport.words, ['1', '2', '3', '4', 'f1'])
  t.strictSame(room.position, { epoch: 'f', offset: 1 })
  // Without history nothing can be recognised, and nothing is dropped.
  deliver(hub, message('room', undefined, { text: 'same' }))
  deliver(hub, message('room', undefined, { text: 'same' }))
  await settled(hub)
  t.strictSame(transport.words.slice(5), ['same', 'same'])
})

test('a room begins at the position it adopts: what came before is dropped, what came meanwhile counts', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  room.adopt(undefined)
  t.equal(room.position, undefined)
  room.adopt({ epoch: 'e', offset: 5 })
  t.strictSame(room.position, { epoch: 'e', offset: 5 })
  const { transport } = join(room)
  for (const offset of [4, 5, 6]) deliver(hub, message('room', offset))
  await settled(hub)
  t.strictSame(transport.words, ['6'])
  room.adopt({ epoch: 'e', offset: 4 })
  t.strictSame(room.position, { epoch: 'e', offset: 6 }, 'an older answer changes nothing')

  const empty = hub.open('empty')
  deliver(hub, message('empty', 8))
  t.strictSame(empty.position, { epoch: 'e', offset: 8 }, 'nobody to write to: it is out at once')
  t.equal(hub.backlog.bytes, 0)
})

test('the backlog counts what waits and returns to nothing', async (t) => {
  const hub = new Hub()
  const { room, members } = bigRoom(hub)
  const small = hub.open('small')
  join(small)
  deliver(hub, message('big', 1))
  const one = hub.backlog.bytes
  t.ok(one > 0)
  deliver(hub, message('small', 1))
  deliver(hub, message('big', 2))
  t.ok(hub.backlog.bytes > 2 * one)
  await turn()
  t.ok(hub.backlog.bytes > 0, 'the big room is not through')
  for (const { connection } of members.slice(0, 100)) connection.terminate()
  deliver(hub, message('big', 2)) // Dropped: it does not count.
  await settled(hub)
  t.equal(hub.backlog.bytes, 0)
  t.equal(room.size, BIG - 100)
  deliver(hub, message('nobody', 1))
  t.equal(hub.backlog.bytes, 0, 'nor does what is for nobody')
})

test('a small room does not wait for a big one', async (t) => {
  const hub = new Hub()
  const { members } = bigRoom(hub)
  const { transport } = join(hub.open('small'))
  deliver(hub, message('big', 1))
  await turn()
  deliver(hub, message('small', 1))
  deliver(hub, message('big', 2))
  await turn()
  await turn()
  t.strictSame(transport.words, ['1'])
  t.ok(reached(members) < BIG, 'the big one is still at its first message')
  await settled(hub)
  t.equal(wrongOnes(members, ['1', '2']), 0)
})

test('big rooms take turns, and so does whatever else runs', async (t) => {
  const hub = new Hub()
  const rooms = upTo(3).map((i) => bigRoom(hub, `big${i}`, 6_000))
  for (const offset of upTo(3)) for (const { room } of rooms) deliver(hub, message(room.name, offset))
  let turns = 0
  while (hub.backlog.bytes > 0) {
    await turn()
    if (++turns === 3) t.ok(rooms.every(({ members }) => reached(members) > 0), 'after three turns each has been written to')
  }
  t.ok(turns > 3, 'the loop has turned in between')
  for (const { members } of rooms) t.equal(wrongOnes(members, ['1', '2', '3']), 0)
})

test('big messages make smaller slices', async (t) => {
  const hub = new Hub()
  const { members } = bigRoom(hub, 'big', 1_000)
  deliver(hub, message('big', 1, { text: 'x'.repeat(200_000) }))
  await turn()
  const first = reached(members)
  t.ok(first > 0 && first < 1_000, 'a thousand small ones would have left in one turn')
  await settled(hub)
  t.equal(reached(members), 1_000)
})

test('a slow consumer is closed at its bound, and the others go on', async (t) => {
  const hub = new Hub()
  const room = hub.open('room')
  const ended: Connection[] = []
  const onEnd = (connection: Connection) => {
    ended.push(connection)
    for (const membership of [...connection.memberships.values()]) membership.room.remove(membership)
  }
  const [first, slow, last] = [join(room), join(room, { maxQueueBytes: 1_000, onEnd }), join(room)]
  slow.transport.queued = 1_000
  deliver(hub, message('room', 1))
  await settled(hub)
  t.strictSame(slow.transport.words, ['1'], 'at the bound is not above it')
  slow.transport.queued = 1_001
  deliver(hub, message('room', 2))
  await settled(hub)
  t.equal(slow.transport.closedFor, 'slowConsumer')
  t.strictSame(slow.transport.words, ['1'], 'nothing is put on top')
  t.strictSame(ended, [slow.connection])
  t.equal(room.size, 2)
  slow.transport.queued = 0
  deliver(hub, message('room', 3))
  await settled(hub)
  t.strictSame(slow.transport.words, ['1'], 'it does not come back to life')
  for (const { transport } of [first, last]) t.strictSame(transport.words, ['1', '2', '3'])
})

test('many slow consumers in a big room are closed without harm to the rest', async (t) => {
  const hub = new Hub()
  const { room, members } = bigRoom(hub)
  const slow = upTo(100).map(() => join(room, { maxQueueBytes: 1 }))
  for (const { transport } of slow) transport.queued = 2
  const behind = upTo(100).map(() => join(room))
  deliver(hub, message('big', 1))
  deliver(hub, notice('big', 'system'))
  await settled(hub)
  deliver(hub, message('big', 2))
  await settled(hub)
  t.ok(slow.every(({ transport }) => transport.closedFor === 'slowConsumer' && transport.chunks.length === 0))
  t.equal(wrongOnes([...members, ...behind], ['1', 'system', '2']), 0)
  t.equal(room.size, BIG + 100)
})

// What really happens against what should: a naive model of the rules, driven at random.

interface Model {
  transport: RecordingTransport
  connection: Connection
  origin: string
  user: string
  /** The latest thing that happened in the room before it joined, and before it left by a step. */
  from: number
  to: number
  /** Frames it had when it was removed. */
  frozen: number | undefined
}

interface Happening {
  number: number
  exclude: string | undefined
  exceptUser: string | undefined
}

for (const seed of [1, 2, 3, 4]) {
  test(`thousands of joins, leaves, removals and deliveries end as they should (seed ${seed})`, async (t) => {
    let state = seed * 7_919
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor(state / 2 ** 32 * below)
    }
    const backlog = new Backlog()
    const room = new Room('room', { instance: 'test', backlog, schedule: () => {}, onIdle: () => {} })
    const happened: Happening[] = []
    const gone: Model[] = []
    /** Everybody who is in the room, or has a step on its way to come in or go out. */
    const here = new Set<Model>()
    const inside = new Map<Model, Membership>()
    let offset = 0
    let biggest = 0

    const deliver = (): void => {
      const number = happened.length + 1
      const exclude = random(4) === 0 ? `origin-${random(5)}` : undefined
      const exceptUser = random(4) === 0 ? `user-${random(5)}` : undefined
      if (random(3) === 0) {
        happened.push({ number, exclude: undefined, exceptUser })
        room.deliver({ kind: 'notice', room: 'room', frame: JSON.stringify({ number }), exceptUser })
        return
      }
      happened.push({ number, exclude, exceptUser: undefined })
      const envelope = message('room', ++offset, { exclude, fields: Buffer.from(`"number":${number}`) })
      room.deliver(envelope)
      if (random(5) === 0) room.deliver(envelope) // Comes twice.
    }

    const come = (): void => {
      const transport = new RecordingTransport()
      const [origin, user] = [`origin-${random(5)}`, `user-${random(5)}`]
      const model: Model = {
        transport,
        connection: connectTo(transport, { origin, user }),
        origin,
        user,
        from: happened.length,
        to: Infinity,
        frozen: undefined
      }
      here.add(model)
      room.run(() => { inside.set(model, room.add(model.connection, 0)) })
    }

    const go = (model: Model): void => {
      here.delete(model)
      const membership = inside.get(model)
      if (membership === undefined || random(2) === 0) { // Behind its own join, if that is still waiting.
        model.to = happened.length
        room.run(() => {
          room.remove(inside.get(model) as Membership)
          inside.delete(model)
        })
      } else {
        room.remove(membership)
        inside.delete(model)
        model.frozen = model.transport.frames.length
      }
      gone.push(model)
    }

    const check = (model: Model): void => {
      const got = model.transport.json.map(({ number }) => number)
      const wanted = happened
        .filter(
          ({ number, exclude, exceptUser }) =>
            number > model.from && number <= model.to && exclude !== model.origin && exceptUser !== model.user
        )
        .map(({ number }) => number)
      // Who was removed in the middle has got a beginning of it, and nothing since.
      const expected = model.frozen === undefined ? wanted : wanted.slice(0, model.frozen)
      if (JSON.stringify(got) !== JSON.stringify(expected)) throw new Error(`a member got ${got.join()} instead of ${expected.join()}`)
    }

    for (let step = 0; step < 8_000; step++) {
      const what = random(100)
      const wave = Math.floor(step / 1_000) % 2 === 0
      if (what < (wave ? 30 : 15)) come()
      else if (what < 45) {
        const models = [...here]
        const model = models[random(models.length)]
        if (model !== undefined) go(model)
      } else if (what < 65) deliver()
      else room.advance(1 + random(40))
      if (room.size !== inside.size) throw new Error(`step ${step}: the room counts ${room.size} members instead of ${inside.size}`)
      biggest = Math.max(biggest, room.size)
      if (step % 500 === 0) {
        while (room.waiting) room.advance(1 + random(100))
        if (backlog.bytes !== 0) throw new Error(`step ${step}: the backlog is ${backlog.bytes} with nothing waiting`)
        for (const model of [...here, ...gone]) check(model)
        gone.length = 0
      }
    }
    while (room.waiting) room.advance(10)
    deliver()
    while (room.waiting) room.advance(10)
    for (const model of [...here, ...gone]) check(model)
    t.equal(room.size, here.size)
    t.ok(biggest > 50, 'it was a room worth the name')
    t.strictSame(
      [...inside.values()].map(({ index }) => index).sort((a, b) => a - b),
      upTo(here.size, 0),
      'the members stand in their places'
    )
    for (const membership of [...inside.values()]) room.remove(membership)
    t.equal(room.size, 0)
    t.equal(backlog.bytes, 0)
    t.strictSame(room.position, { epoch: 'e', offset })
  })
}
