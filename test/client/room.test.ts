import { test } from 'tap'
import { Requests } from '../../client/requests.ts'
import { Room } from '../../client/room.ts'
import type { SentFrame } from '../../client/link.ts'
import { ManualClock } from '../support/manual-clock.ts'

/** A room of a client on an open link, and the frames that it has sent. */
function makeRoom (name: string): { room: Room, requests: Requests, sent: SentFrame[] } {
  const clock = new ManualClock()
  const sent: SentFrame[] = []
  const requests = new Requests(clock, (frame) => { sent.push(frame) }, () => {})
  requests.onOpen(false)
  const room = new Room(name, {
    clock,
    requests,
    isClosed: () => false,
    publish: async () => ({ room: name }),
    history: async () => await new Promise(() => {}),
    onUse: () => {},
    onLeft: () => {},
    report: () => {}
  })
  return { room, requests, sent }
}

/** The payloads of a room, and its other events by their names. */
function listen (room: Room): unknown[] {
  const seen: unknown[] = []
  room.on('message', ({ data }) => { seen.push(data) })
  room.on('reset', ({ reason }) => { seen.push(`reset ${reason}`) })
  room.on('joined', ({ recovered }) => { if (recovered !== undefined) seen.push(`recovered ${recovered}`) })
  return seen
}

test('a room drops duplicates, and messages before the answer to its join', (t) => {
  const { room, requests } = makeRoom('lobby')
  const seen = listen(room)
  const message = (offset: number): void => { room.onFrame({ type: 'message', room: 'lobby', offset, from: 'ada', time: 1, data: offset }) }
  message(5)
  room.join().catch(() => {})
  message(5)
  requests.take({ type: 'joined', room: 'lobby', epoch: 'e', offset: 5, audience: 1, id: 1 })
  for (const offset of [4, 5, 6, 6, 8, 7]) message(offset) // Offsets of excluded messages are no gap.
  t.strictSame(seen, [6, 8])
  requests.onDown(1006)
  room.onDown()
  requests.onOpen(false)
  message(9)
  requests.take({ type: 'joined', room: 'lobby', epoch: 'e', offset: 10, audience: 1, recovered: true, missed: 2, id: 2 })
  for (const offset of [9, 10, 10]) message(offset)
  t.strictSame(seen, [6, 8, 'recovered true', 9, 10])
  t.end()
})

test('only the answer to the latest join puts a client into a room', (t) => {
  const { room, requests } = makeRoom('@user')
  const joined = (id?: number): boolean => requests.take({ type: 'joined', room: '@user', audience: 1, id })
  room.join().catch(() => {})
  room.join({ since: { epoch: 'e', offset: 1 } }).catch(() => {})
  t.notOk(joined(), 'the notice of an automatic room answers no request')
  joined(1)
  t.equal(room.state, 'joining', 'the answer to an earlier join has no effect')
  joined(2)
  t.equal(room.state, 'joined')
  t.end()
})

test('a join from a position is refused once the room has a position of its own', async (t) => {
  const { room, requests, sent } = makeRoom('lobby')
  const joins = [room.join(), room.join({ since: { epoch: 'e', offset: 3 } })]
  t.strictSame(sent.map((frame) => (frame as { since?: object }).since), [undefined, { epoch: 'e', offset: 3 }])
  requests.take({ type: 'joined', room: 'lobby', epoch: 'e', offset: 3, audience: 1, recovered: true, missed: 0, id: 2 })
  t.strictSame((await Promise.all(joins)).map(({ recovered }) => recovered), [true, true])
  await t.rejects(room.join({ since: { epoch: 'e', offset: 1 } }), { code: 'already_joined' })
  for (const since of [null, {}, { epoch: 1, offset: 1 }, { epoch: 'e', offset: 1.5 }, 'e:1']) {
    await t.rejects(room.join({ since } as never), { code: 'invalid_request' }, JSON.stringify(since))
  }
})

test('the end of an earlier membership does not end the next one', async (t) => {
  const { room, requests, sent } = makeRoom('lobby')
  room.join().catch(() => {})
  requests.take({ type: 'joined', room: 'lobby', audience: 1, id: 1 })
  await room.leave()
  const join = room.join()
  t.strictSame(sent.map(({ type }) => type), ['join', 'leave'], 'the join follows the answer to the leave')
  room.onFrame({ type: 'left', room: 'lobby', reason: 'removed' })
  requests.take({ type: 'left', room: 'lobby', id: 2 })
  t.strictSame(sent.map(({ type }) => type), ['join', 'leave', 'join'])
  requests.take({ type: 'joined', room: 'lobby', audience: 1, id: 3 })
  t.equal((await join).audience, 1)
  t.equal(room.state, 'joined')
})

test('a room without a membership sends no leave', async (t) => {
  const { room, requests, sent } = makeRoom('lobby')
  const join = t.rejects(room.join(), { code: 'not_joined' })
  requests.take({ type: 'error', id: 1, code: 'unavailable', text: '', retryable: true, retryAfterMs: 5_000 })
  await room.leave()
  await join
  t.strictSame(sent.map(({ type }) => type), ['join'])
})

test('a room is left with its last holder, whoever that is', async (t) => {
  const clock = (ms: number): void => { (made.requests.clock as ManualClock).tick(ms) }
  const made = makeRoom('lobby')
  const { room, requests, sent } = made
  const releases = [room.hold(), room.hold()] as const
  requests.take({ type: 'joined', room: 'lobby', audience: 1, id: 1 })
  releases[0]()
  releases[0]()
  clock(10)
  t.equal(room.state, 'joined', 'another component is in the room')
  await room.join()
  releases[1]()
  clock(10)
  t.equal(room.state, 'joined', 'the application has joined the room')
  const release = room.hold()
  await room.leave()
  t.equal(room.state, 'joined', 'a component holds the room')
  release()
  room.hold()()
  clock(10)
  t.equal(room.state, 'idle')
  t.strictSame(sent.map(({ type }) => type), ['join', 'leave'])
})

test('a leave without an answer does not hold the next join on another link', (t) => {
  const { room, requests, sent } = makeRoom('lobby')
  room.join().catch(() => {})
  requests.take({ type: 'joined', room: 'lobby', audience: 1, id: 1 })
  void room.leave()
  requests.onDown(1006) // The client has forgotten the room, and does not tell it.
  room.join().catch(() => {})
  requests.onOpen(false)
  t.strictSame(sent.map(({ type }) => type), ['join', 'leave', 'join'])
  t.end()
})

test('a listener of the state may leave the room', async (t) => {
  const { room, requests, sent } = makeRoom('lobby')
  const seen = listen(room)
  const join = room.join()
  requests.take({ type: 'joined', room: 'lobby', epoch: 'e', offset: 1, audience: 1, id: 1 })
  await join
  room.on('state', (state) => { if (state === 'joining') void room.leave() })
  requests.onDown(1006)
  room.onDown()
  requests.onOpen(false)
  t.equal(room.state, 'idle')
  t.strictSame(sent.map(({ type }) => type), ['join'], 'the room is not joined again')
  await t.rejects(room.join(), { code: 'not_joined' }, 'and a promise is settled')
  t.strictSame(seen, [])
})

test('a room that the service ends while the client catches up is refused', async (t) => {
  const { room, requests, sent } = makeRoom('lobby')
  room.join().catch(() => {})
  requests.take({ type: 'joined', room: 'lobby', epoch: 'e', offset: 1, audience: 1, id: 1 })
  requests.onDown(1006)
  room.onDown()
  requests.onOpen(false)
  requests.take({ type: 'joined', room: 'lobby', epoch: 'e', offset: 900, audience: 1, recovered: false, id: 2 })
  room.onFrame({ type: 'left', room: 'lobby', reason: 'removed' })
  t.equal(room.state, 'refused')
  t.equal(sent.length, 2)
})
