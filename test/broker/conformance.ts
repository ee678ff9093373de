import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { test, type Test } from 'tap'
import type { Broker, HistoryOf, HistoryPage, HistoryQuery, Publication, Published, StoredMessage } from '../../src/broker/broker.ts'
import { RoomcastError } from '../../src/errors.ts'
import type { Envelope, MessageEnvelope } from '../../src/protocol/envelope.ts'
import type { Position } from '../../src/protocol/position.ts'
import { historyOf } from './history-of.ts'
import { PATIENCE_MS } from '../support/until.ts'

/** What a broker is made with. */
export interface BrokerOptions {
  historyOf: HistoryOf
}

/** A broker as its factory hands it over; `listen` has not been called. */
export interface BrokerUnderTest {
  broker: Broker
  /** Another node on the same backend; where there is no other, the same broker. */
  other: Broker
  /** Closes both and removes what they left. */
  cleanup: () => Promise<void>
  /** Makes the backend lose everything it knows about a room that nobody is subscribed to. */
  loseState?: (room: string) => Promise<void>
  /** Messages that may be shown beyond the size of a history, by a broker that removes them some at a time; 0 if not given. */
  slack?: number
}

export type MakeBroker = (options: BrokerOptions) => Promise<BrokerUnderTest>

const OPTIONS: BrokerOptions = { historyOf: historyOf() }
const EVERYTHING = { limit: 10_000, maxBytes: 100_000_000 }

/** What came to a node's listener. */
class Recorder {
  readonly envelopes: Envelope[] = []
  #look = (): void => {}

  readonly listen = (envelope: Envelope): void => {
    this.envelopes.push(envelope)
    this.#look()
  }

  messages (room: string): MessageEnvelope[] {
    return this.envelopes.filter((envelope) => envelope.kind === 'message').filter((envelope) => envelope.room === room)
  }

  offsets (room: string): (number | undefined)[] {
    return this.messages(room).map(({ position }) => position?.offset)
  }

  /** Resolves when what was received satisfies a condition. */
  async until (condition: () => boolean, what: string): Promise<void> {
    if (condition()) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => { reject(new Error(`waited in vain for ${what}; ${this.envelopes.length} envelopes came`)) }, PATIENCE_MS)
      this.#look = () => { if (condition()) resolve() }
    }).finally(() => { clearTimeout(timer) })
  }

  async untilMessages (room: string, count: number): Promise<void> {
    await this.until(() => this.messages(room).length >= count, `${count} messages in ${room}`)
  }
}

interface Setup extends BrokerUnderTest {
  /** What `broker` heard. */
  heard: Recorder
  /** What `other` heard; the same recorder where there is one node. */
  heardByOther: Recorder
  twoNodes: boolean
}

/** A room name that no other test uses. */
function roomName (label = 'room'): string {
  return `test:${label}:${randomBytes(6).toString('hex')}`
}

/** A publication whose content is a text. */
function text (room: string, text: string, more: Partial<Publication> = {}): Publication {
  return { room, fields: Buffer.from(`"from":"ada","text":${JSON.stringify(text)}`), ...more }
}

/** The text of a message made by `text`. */
function textOf ({ fields }: { fields: Buffer }): string {
  return (JSON.parse(`{${fields.toString()}}`) as { text: string }).text
}

function idempotency (id: string, fingerprint = 'same'): Pick<Publication, 'idempotency'> {
  return { idempotency: { id, fingerprint } }
}

function upTo (count: number, first = 1): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}

function offsetsOf (messages: { offset: number }[]): number[] {
  return messages.map(({ offset }) => offset)
}

function positionOf (of: { position?: Position | undefined }): Position {
  if (of.position === undefined) throw new Error('there is no position')
  return of.position
}

function sizeOf ({ fields, bytes }: StoredMessage): number {
  return fields.length + (bytes?.length ?? 0)
}

async function publishMany (broker: Broker, room: string, count: number, content = 'm'): Promise<Published[]> {
  return await Promise.all(upTo(count).map(async (i) => await broker.publish(text(room, `${content}${i}`))))
}

/** Asks again until the answer is right: for what a broker tells other nodes in its own time. */
async function eventually<T> (ask: () => Promise<T>, right: (answer: T) => boolean, what: string): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const answer = await ask()
    if (right(answer)) return answer
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}; the last answer was ${JSON.stringify(answer).slice(0, 300)}`)
    await sleep(10)
  }
}

/** All pages of a query, one after the other, in the direction that it asks for. */
async function walk (broker: Broker, room: string, query: HistoryQuery): Promise<HistoryPage[]> {
  const pages: HistoryPage[] = []
  let next: number | undefined
  do {
    const direction = next === undefined ? {} : query.after === undefined ? { before: next } : { after: next }
    const page = await broker.history(room, { ...query, ...direction })
    pages.push(page)
    if (pages.length > 10_000) throw new Error('the pages never end')
    next = page.next
  } while (next !== undefined)
  return pages
}

/**
 * What every broker has to do: the guarantees on the `Broker` interface. Each test has a broker and rooms of its own.
 *
 * @param name of the implementation, in front of every title
 */
export function conformance (name: string, makeBroker: MakeBroker): void {
  const start = async (t: Test, options: Partial<BrokerOptions> = {}): Promise<Setup> => {
    const made = await makeBroker({ ...OPTIONS, ...options })
    t.teardown(made.cleanup)
    const twoNodes = made.other !== made.broker
    const heard = new Recorder()
    const heardByOther = twoNodes ? new Recorder() : heard
    made.broker.listen(heard.listen)
    if (twoNodes) made.other.listen(heardByOther.listen)
    return { ...made, heard, heardByOther, twoNodes }
  }

  /** A room in which history has already let go of the oldest messages. */
  const startWithOldOnesGone = async (t: Test) => {
    const setup = await start(t, { historyOf: historyOf(5) })
    const room = roomName('trimmed')
    const published = 5 + (setup.slack ?? 0) + 10
    await publishMany(setup.broker, room, published)
    const page = await setup.broker.history(room, { after: 0, ...EVERYTHING })
    const first = page.messages[0]?.offset ?? 0
    return { ...setup, room, page, first, top: published, epoch: positionOf(page).epoch }
  }

  // Order

  test(`${name}: offsets of a room count from 1 without gaps, within one epoch`, async (t) => {
    const { broker, other } = await start(t)
    const [room, neighbour] = [roomName(), roomName()]
    const positions: Position[] = []
    for (let i = 0; i < 10; i++) {
      positions.push(positionOf(await (i % 2 === 0 ? broker : other).publish(text(room, `${i}`))))
      await broker.publish(text(neighbour, 'another room counts for itself'))
    }
    t.strictSame(offsetsOf(positions), upTo(10))
    t.equal(new Set(positions.map(({ epoch }) => epoch)).size, 1)
    t.match(positions[0]?.epoch, /^.{1,32}$/)
    t.equal((await broker.position(neighbour))?.offset, 10)
  })

  test(`${name}: when many publish at once, all nodes see one order and each caller keeps theirs`, async (t) => {
    const { broker, other, heard, heardByOther } = await start(t)
    const room = roomName()
    await Promise.all([broker.subscribe(room), other.subscribe(room)])
    const callers = upTo(8)
    const each = 50
    const published = await Promise.all(callers.map(async (caller) => {
      const through = caller % 2 === 0 ? broker : other
      // Not awaited one by one: the order of the calls is what counts.
      return await Promise.all(upTo(each).map(async (i) => await through.publish(text(room, `${caller}:${i}`))))
    }))
    const total = callers.length * each
    for (const ofCaller of published) {
      const offsets = offsetsOf(ofCaller.map(positionOf))
      t.strictSame(offsets, offsets.toSorted((a, b) => a - b), 'a caller\'s offsets ascend in the order of the calls')
    }
    t.strictSame(published.flat().map(positionOf).map(({ offset }) => offset).sort((a, b) => a - b), upTo(total), 'no gap and no repeat')

    await Promise.all([heard.untilMessages(room, total), heardByOther.untilMessages(room, total)])
    t.strictSame(heard.offsets(room), upTo(total), 'delivery is in the order of the offsets')
    t.strictSame(heardByOther.offsets(room), upTo(total), 'on every node')
    const { messages } = await broker.history(room, { after: 0, ...EVERYTHING })
    t.strictSame(messages.map(textOf), heard.messages(room).map(textOf), 'history has the order that was delivered')
    t.strictSame(heardByOther.messages(room).map(textOf), heard.messages(room).map(textOf))
    published.forEach((ofCaller, c) => {
      ofCaller.forEach((one, i) => {
        const at = messages[positionOf(one).offset - 1]
        if (at === undefined || textOf(at) !== `${c + 1}:${i + 1}`) t.fail(`what publish answered for ${c + 1}:${i + 1} is not where it is`)
      })
    })
  })

  test(`${name}: when publish has resolved, history and position know the message on every node`, async (t) => {
    const { broker, other } = await start(t)
    const room = roomName()
    for (let i = 1; i <= 20; i++) {
      const position = positionOf(await broker.publish(text(room, `${i}`)))
      for (const node of [broker, other]) {
        t.strictSame(await node.position(room), position)
        const page = await node.history(room, { after: i - 1, epoch: position.epoch, ...EVERYTHING })
        t.strictSame(page.messages.map(textOf), [`${i}`])
      }
    }
  })

  test(`${name}: times of a room never decrease, and are the same for everybody`, async (t) => {
    const { broker, other, heard } = await start(t)
    const room = roomName()
    await broker.subscribe(room)
    const published = await Promise.all(upTo(100).map(async (i) => await (i % 2 === 0 ? broker : other).publish(text(room, `${i}`))))
    await heard.untilMessages(room, 100)
    const { messages } = await broker.history(room, { after: 0, ...EVERYTHING })
    const times = messages.map(({ time }) => time)
    t.strictSame(times, times.toSorted((a, b) => a - b))
    t.strictSame(heard.messages(room).map(({ time }) => time), times)
    for (const one of published) {
      if (one.time !== times[positionOf(one).offset - 1]) t.fail('the publisher was told another time')
    }
    t.ok(times.every((time) => Number.isSafeInteger(time) && time > Date.UTC(2020)), 'ms since 1970')
  })

  // Delivery

  test(`${name}: only rooms that are subscribed are delivered`, async (t) => {
    const { broker, other, heard } = await start(t)
    const [wanted, unwanted] = [roomName('wanted'), roomName('unwanted')]
    await broker.subscribe(wanted)
    await broker.publish(text(unwanted, 'a'))
    await other.publish(text(unwanted, 'b'))
    await other.notify({ kind: 'notice', room: unwanted, frame: '{"type":"system"}' })
    await broker.position(unwanted)
    await broker.history(unwanted, EVERYTHING)
    await broker.publish(text(unwanted, 'c'))
    await other.publish(text(wanted, 'd'))
    await heard.untilMessages(wanted, 1)
    t.strictSame(heard.envelopes.map(({ room }) => room), [wanted])
  })

  test(`${name}: a room without history is delivered only when it is subscribed, too`, async (t) => {
    const { broker, other, heard } = await start(t, { historyOf: historyOf(0) })
    const [wanted, unwanted] = [roomName('wanted'), roomName('unwanted')]
    await broker.subscribe(wanted)
    await other.publish(text(unwanted, 'a'))
    await other.publish(text(wanted, 'b'))
    await heard.untilMessages(wanted, 1)
    t.strictSame(heard.envelopes.map(({ room }) => room), [wanted])
  })

  test(`${name}: an envelope has everything that was published`, async (t) => {
    const { broker, other, heard } = await start(t)
    const room = roomName()
    await broker.subscribe(room)
    const published = await other.publish(text(room, 'grüße 👋', { exclude: 'tab-of-the-sender-1' }))
    await heard.untilMessages(room, 1)
    const [envelope] = heard.messages(room)
    t.strictSame(envelope?.position, published.position)
    t.equal(envelope?.time, published.time)
    t.equal(envelope?.exclude, 'tab-of-the-sender-1')
    t.strictSame(envelope?.fields, text(room, 'grüße 👋').fields)
    t.equal(envelope?.bytes, undefined)

    await other.publish(text(room, 'for everybody'))
    await heard.untilMessages(room, 2)
    t.equal(heard.messages(room)[1]?.exclude, undefined)
  })

  test(`${name}: binary payloads keep every byte, delivered and in history`, async (t) => {
    const { broker, other, heard } = await start(t)
    const room = roomName()
    await broker.subscribe(room)
    const payloads = [
      Buffer.from(upTo(256, 0)),
      Buffer.alloc(0),
      Buffer.from([0]),
      Buffer.from('\r\n'),
      Buffer.from([0xc3, 0x28, 0xed, 0xa0, 0x80]),
      randomBytes(100_000)
    ]
    for (const bytes of payloads) await other.publish(text(room, 'b', { bytes }))
    await heard.untilMessages(room, payloads.length)
    const { messages } = await broker.history(room, { after: 0, ...EVERYTHING })
    payloads.forEach((bytes, i) => {
      t.ok(heard.messages(room)[i]?.bytes?.equals(bytes), `payload ${i} is delivered as it was`)
      t.ok(messages[i]?.bytes?.equals(bytes), `payload ${i} is kept as it was`)
    })
  })

  test(`${name}: the position that subscribe answers is where delivery begins`, async (t) => {
    const { broker, other, heard } = await start(t)
    const room = roomName()
    await publishMany(other, room, 3)
    const publishing = (async () => { for (let i = 0; i < 200; i++) await other.publish(text(room, `${i}`)) })()
    const position = await broker.subscribe(room)
    await publishing
    const after = await other.publish(text(room, 'last'))
    await heard.until(() => heard.offsets(room).includes(203 + 1), 'the last message')
    t.equal(position?.epoch, positionOf(after).epoch)
    t.ok((position?.offset ?? 0) >= 3, 'it knows what was there before')
    const following = heard.offsets(room).filter((offset) => Number(offset) > (position?.offset ?? 0))
    t.strictSame(following, upTo(204 - (position?.offset ?? 0), (position?.offset ?? 0) + 1), 'nothing behind it is missing')
  })

  test(`${name}: a room may be subscribed again after it was given up`, async (t) => {
    const { broker, other, heard } = await start(t)
    const room = roomName()
    const before = await broker.subscribe(room)
    await broker.unsubscribe(room)
    await broker.unsubscribe(roomName('never subscribed'))
    await other.publish(text(room, 'meanwhile'))
    const position = await broker.subscribe(room)
    t.strictSame(position, { epoch: before?.epoch, offset: 1 })
    await Promise.all([broker.unsubscribe(room), broker.subscribe(room)])
    await other.publish(text(room, 'afterwards'))
    await heard.until(
      () => heard.messages(room).some((message) => textOf(message) === 'afterwards'),
      'the message after the second subscription'
    )
  })

  test(`${name}: notices reach the nodes of the room and leave no trace in it`, async (t) => {
    const { broker, other, heard, heardByOther, twoNodes } = await start(t)
    const room = roomName()
    await Promise.all([broker.subscribe(room), other.subscribe(room)])
    const published = await broker.publish(text(room, 'a'))
    const frame = '{"type":"system","text":"grüße"}'
    await other.notify({ kind: 'notice', room, frame, exceptUser: 'ada:lovelace' })
    await other.notify({ kind: 'notice', room, frame: '{}' })
    await broker.publish(text(room, 'b'))
    for (const recorder of twoNodes ? [heard, heardByOther] : [heard]) {
      const notices = () => recorder.envelopes.filter((envelope) => envelope.kind === 'notice')
      await recorder.until(() => notices().length >= 2, 'the notices')
      t.strictSame(notices().map(({ room, frame, exceptUser }) => ({ room, frame, exceptUser })), [
        { room, frame, exceptUser: 'ada:lovelace' },
        { room, frame: '{}', exceptUser: undefined }
      ])
    }
    t.strictSame(await broker.position(room), { ...published.position, offset: 2 })
    t.strictSame((await broker.history(room, { after: 0, ...EVERYTHING })).messages.map(textOf), ['a', 'b'])
  })

  // Epochs

  test(`${name}: the position of a room that never was stands at 0, and its first publish keeps the epoch`, async (t) => {
    const { broker, other } = await start(t)
    const room = roomName()
    const position = await broker.position(room)
    t.equal(position?.offset, 0)
    t.strictSame(await other.position(room), position, 'the same for every node')
    t.strictSame(await broker.subscribe(room), position)
    t.strictSame(
      await other.history(room, { after: 0, epoch: position?.epoch, ...EVERYTHING }),
      { position, recovered: true, messages: [], next: undefined }
    )
    t.strictSame((await other.publish(text(room, 'first'))).position, { epoch: position?.epoch, offset: 1 })
    const asked = roomName('asked at once')
    const positions = await Promise.all(upTo(10).map(async (i) => await (i % 2 === 0 ? broker : other).position(asked)))
    t.equal(new Set(positions.map((one) => one?.epoch)).size, 1, 'asking at once makes one epoch')
  })

  test(`${name}: a room whose state was lost starts again at 1, under an epoch that never was`, async (t) => {
    const { broker, other, loseState } = await start(t)
    if (loseState === undefined) {
      t.pass('cannot be tested', { skip: 'this broker was given no way to lose the state of a room' })
      return
    }
    const room = roomName()
    const epochs = new Set<string>()
    for (let i = 0; i < 5; i++) {
      const first = positionOf(await broker.publish(text(room, `${i}`)))
      t.equal(first.offset, 1)
      t.notOk(epochs.has(first.epoch), 'no epoch comes twice')
      epochs.add(first.epoch)
      t.strictSame((await other.publish(text(room, 'b'))).position, { epoch: first.epoch, offset: 2 })
      await loseState(room)
      const page = await broker.history(room, { after: 2, epoch: first.epoch, ...EVERYTHING })
      t.equal(page.recovered, false, 'who comes back with the old epoch is told')
      t.strictSame(page.messages, [])
      t.not(page.position?.epoch, first.epoch)
    }
    await broker.position(room)
    const position = await broker.position(room)
    t.equal(position?.offset, 0)
    t.notOk(epochs.has(position?.epoch ?? ''))
  })

  // Idempotency

  test(`${name}: the same publish again gets the first answer and makes no message`, async (t) => {
    const { broker, other, heard } = await start(t)
    const room = roomName()
    await broker.subscribe(room)
    broker.setOccupancy(room, 2)
    const first = await broker.publish(text(room, 'once', idempotency('ada\nkey')))
    t.equal(first.replayed, false)
    broker.setOccupancy(room, 7)
    await broker.publish(text(room, 'between'))
    for (const node of [broker, other]) {
      t.strictSame(await node.publish(text(room, 'once', idempotency('ada\nkey'))), { ...first, replayed: true })
    }
    await broker.publish(text(room, 'last'))
    await heard.until(() => heard.messages(room).some((message) => textOf(message) === 'last'), 'the last message')
    t.strictSame(heard.messages(room).map(textOf), ['once', 'between', 'last'], 'delivered once')
    t.strictSame((await broker.history(room, { after: 0, ...EVERYTHING })).messages.map(textOf), ['once', 'between', 'last'], 'kept once')
  })

  test(`${name}: of publishes with the same key at once, one makes the message and the others are replays`, async (t) => {
    const { broker, other } = await start(t)
    const room = roomName()
    const answers = await Promise.all(upTo(20).map(async (i) =>
      await (i % 2 === 0 ? broker : other).publish(text(room, 'once', idempotency('key')))))
    t.equal(answers.filter(({ replayed }) => !replayed).length, 1)
    t.equal(new Set(answers.map((answer) => JSON.stringify({ ...answer, replayed: false }))).size, 1, 'all get the same answer')
    t.equal((await broker.position(room))?.offset, 1)
  })

  test(`${name}: a key that was used for another message is refused, and the message is not made`, async (t) => {
    const { broker, other } = await start(t)
    const room = roomName()
    const first = await broker.publish(text(room, 'one', idempotency('key', 'one')))
    for (const node of [broker, other]) {
      await t.rejects(node.publish(text(room, 'two', idempotency('key', 'two'))), { name: 'RoomcastError', code: 'idempotency_conflict' })
      const error: unknown = await node.publish(text(room, 'two', idempotency('key', 'two'))).catch((error: unknown) => error)
      t.ok(error instanceof RoomcastError)
    }
    t.strictSame(await broker.position(room), first.position)
    t.strictSame(await other.publish(text(room, 'one', idempotency('key', 'one'))), { ...first, replayed: true }, 'the first answer stays')
  })

  test(`${name}: where no more keys may be remembered, a known key replays and a new one is refused`, async (t) => {
    for (const size of [1_000, 0]) {
      const { broker, other } = await start(t, { historyOf: historyOf(size) })
      const [room, refusal] = [roomName(), new RoomcastError('rate_limited', 'Too many keys', 1_234)]
      const publish = async (node: Broker, id: string, fingerprint = 'same') =>
        await node.publish(text(room, 'once', { idempotency: { id, fingerprint, refusal } }))
      const first = await broker.publish(text(room, 'once', idempotency('known')))
      for (const node of [broker, other]) {
        t.strictSame(await publish(node, 'known'), { ...first, replayed: true })
        await t.rejects(publish(node, 'known', 'other'), { code: 'idempotency_conflict' })
        t.equal(await publish(node, 'new').catch((error: unknown) => error), refusal)
      }
      t.match(await other.publish(text(room, 'once', idempotency('new'))), { replayed: false }, 'a refused key is not used up')
      const { messages } = await broker.history(room, { after: 0, ...EVERYTHING })
      t.equal(messages.length, size === 0 ? 0 : 2, 'a refused publish makes no message')
    }
  })

  test(`${name}: a key means one publish in one room, and no key means a message each`, async (t) => {
    const { broker } = await start(t)
    const [room, neighbour] = [roomName(), roomName()]
    const answers = [
      await broker.publish(text(room, 'a', idempotency('key'))),
      await broker.publish(text(neighbour, 'a', idempotency('key'))),
      await broker.publish(text(room, 'a', idempotency('key-'))),
      await broker.publish(text(room, 'a', idempotency('another\nkey'))),
      await broker.publish(text(room, 'a')),
      await broker.publish(text(room, 'a'))
    ]
    t.strictSame(answers.map(({ replayed }) => replayed), answers.map(() => false))
    t.equal((await broker.position(room))?.offset, 5)
    t.equal((await broker.position(neighbour))?.offset, 1)
  })

  // History

  test(`${name}: history keeps what was published, as it was`, async (t) => {
    const { broker, other } = await start(t)
    const room = roomName()
    const published = [
      await broker.publish(text(room, 'one', { exclude: 'tab-of-the-sender-1' })),
      await broker.publish(text(room, 'two', { bytes: Buffer.from([1, 2]) }))
    ]
    const { position, recovered, messages, next } = await other.history(room, { after: 0, ...EVERYTHING })
    t.strictSame(position, published[1]?.position)
    t.equal(recovered, true)
    t.equal(next, undefined)
    t.strictSame(messages.map(({ offset, time, fields, bytes }) => ({ offset, time, fields, bytes })), [
      { offset: 1, time: published[0]?.time, fields: text(room, 'one').fields, bytes: undefined },
      { offset: 2, time: published[1]?.time, fields: text(room, 'two').fields, bytes: Buffer.from([1, 2]) }
    ])
  })

  test(`${name}: history keeps the latest messages, up to a number`, async (t) => {
    const { page, room, broker, top, slack = 0 } = await startWithOldOnesGone(t)
    const offsets = offsetsOf(page.messages)
    t.strictSame(offsets, upTo(offsets.length, top - offsets.length + 1), 'the latest, without gaps')
    t.ok(offsets.length >= 5, 'as many as it was told')
    t.ok(offsets.length <= 5 + slack, 'and no more')
    t.equal(page.position?.offset, top, 'the position goes on')
    t.strictSame(page.messages.map(textOf), offsets.map((offset) => `m${offset}`))
    t.strictSame((await broker.history(room, { ...EVERYTHING, before: top + 1 })).messages, page.messages)
  })

  test(`${name}: history keeps messages up to an age, and the position goes on`, async (t) => {
    const { broker, other } = await start(t, { historyOf: historyOf(1_000, 1) })
    const room = roomName()
    const first = positionOf(await broker.publish(text(room, 'old')))
    const gone = await eventually(
      async () => await other.history(room, EVERYTHING),
      ({ messages }) => messages.length === 0,
      'the message to be too old'
    )
    t.strictSame(gone.position, first, 'nothing is left of it but its offset')
    t.equal((await other.history(room, { after: 0, ...EVERYTHING })).recovered, false)
    t.equal((await other.history(room, { after: 1, ...EVERYTHING })).recovered, true)
    const second = await broker.publish(text(room, 'new'))
    t.strictSame(second.position, { epoch: first.epoch, offset: 2 })
    const page = await broker.history(room, { after: 0, ...EVERYTHING })
    t.notOk(page.messages.some((message) => textOf(message) === 'old'), 'it does not come back with the next publish')
  })

  test(`${name}: after, before and limit name a part of the history`, async (t) => {
    const { broker } = await start(t)
    const room = roomName()
    await publishMany(broker, room, 20)
    const read = async (query: Partial<HistoryQuery>) => {
      const { messages, next } = await broker.history(room, { ...EVERYTHING, ...query })
      t.strictSame(messages.map(textOf), messages.map(({ offset }) => `m${offset}`))
      return { offsets: offsetsOf(messages), next }
    }
    const none = undefined
    t.strictSame(await read({}), { offsets: upTo(20), next: none }, 'everything')
    t.strictSame(await read({ limit: 4 }), { offsets: [17, 18, 19, 20], next: 17 }, 'the latest')
    t.strictSame(await read({ limit: 20 }), { offsets: upTo(20), next: none }, 'a page that is just full is the last one')
    t.strictSame(await read({ after: 0 }), { offsets: upTo(20), next: none })
    t.strictSame(await read({ after: 17 }), { offsets: [18, 19, 20], next: none })
    t.strictSame(await read({ after: 5, limit: 3 }), { offsets: [6, 7, 8], next: 8 }, 'the oldest first')
    t.strictSame(await read({ after: 17, limit: 3 }), { offsets: [18, 19, 20], next: none })
    t.strictSame(await read({ after: 20 }), { offsets: [], next: none })
    t.strictSame(await read({ before: 4 }), { offsets: [1, 2, 3], next: none })
    t.strictSame(await read({ before: 10, limit: 3 }), { offsets: [7, 8, 9], next: 7 }, 'the latest before')
    t.strictSame(await read({ before: 4, limit: 3 }), { offsets: [1, 2, 3], next: none })
    t.strictSame(await read({ before: 1 }), { offsets: [], next: none })
    t.strictSame(await read({ before: 0 }), { offsets: [], next: none })
    t.strictSame(await read({ before: 1_000 }), { offsets: upTo(20), next: none }, 'before something that is still to come')
    t.strictSame(await read({ after: 5, before: 10 }), { offsets: [6, 7, 8, 9], next: none })
    t.strictSame(await read({ after: 5, before: 10, limit: 3 }), { offsets: [6, 7, 8], next: 8 })
    t.strictSame(await read({ after: 8, before: 10, limit: 3 }), { offsets: [9], next: none })
    t.strictSame(await read({ after: 9, before: 10 }), { offsets: [], next: none })
    t.strictSame(await read({ after: 10, before: 5 }), { offsets: [], next: none })
    t.strictSame(await read({ after: 15, before: 1_000 }), { offsets: upTo(5, 16), next: none })
    t.strictSame(await read({ after: 5, limit: 1 }), { offsets: [6], next: 6 })
  })

  test(`${name}: a page ends at maxBytes, but has one message at the least`, async (t) => {
    const { broker } = await start(t)
    const room = roomName()
    const sizes = [1_000, 1_000, 50_000, 10, 10, 10, 3_000, 3_000, 1_000, 70_000, 20]
    for (const [i, size] of sizes.entries()) {
      await broker.publish(text(room, 'x'.repeat(i % 2 === 0 ? size : 5), i % 2 === 0 ? {} : { bytes: Buffer.alloc(size) }))
    }
    for (const maxBytes of [1, 2_000, 5_000, 60_000]) {
      for (const direction of [{ after: 0 }, {}]) {
        const pages = await walk(broker, room, { ...direction, limit: 100, maxBytes })
        for (const { messages } of pages) {
          t.ok(messages.length === 1 || messages.reduce((sum, message) => sum + sizeOf(message), 0) <= maxBytes)
        }
        const ordered = 'after' in direction ? pages : pages.toReversed()
        t.strictSame(ordered.flatMap(({ messages }) => offsetsOf(messages)), upTo(sizes.length))
      }
    }
    t.equal((await walk(broker, room, { after: 0, limit: 100, maxBytes: 1 })).length, sizes.length)
    t.equal((await walk(broker, room, { after: 0, limit: 100, maxBytes: 1_000_000 })).length, 1)
  })

  test(`${name}: following next walks the whole history, both ways, without gap or repeat`, async (t) => {
    const { broker } = await start(t)
    const room = roomName()
    await publishMany(broker, room, 100)
    for (const limit of [1, 7, 10, 99, 100, 101]) {
      const there = await walk(broker, room, { after: 0, limit, maxBytes: EVERYTHING.maxBytes })
      t.strictSame(there.flatMap(({ messages }) => offsetsOf(messages)), upTo(100), `forwards by ${limit}`)
      t.equal(there.length, Math.ceil(100 / limit), 'no empty page at the end')
      t.ok(there.every(({ recovered }) => recovered))
      const back = await walk(broker, room, { limit, maxBytes: EVERYTHING.maxBytes })
      t.strictSame(back.toReversed().flatMap(({ messages }) => offsetsOf(messages)), upTo(100), `backwards by ${limit}`)
      t.equal(back.length, Math.ceil(100 / limit))
      const between = await walk(broker, room, { after: 20, before: 61, limit, maxBytes: EVERYTHING.maxBytes })
      t.strictSame(between.flatMap(({ messages }) => offsetsOf(messages)), upTo(40, 21), `between by ${limit}`)
    }
  })

  test(`${name}: recovered says exactly whether nothing is missing`, async (t) => {
    const { broker, other, room, first, top, epoch } = await startWithOldOnesGone(t)
    t.ok(first > 2, 'the oldest are gone')
    const read = async (query: Partial<HistoryQuery>) => {
      const { recovered, messages, position } = await other.history(room, { ...EVERYTHING, ...query })
      t.strictSame(position, { epoch, offset: top })
      return { recovered, offsets: offsetsOf(messages) }
    }
    const kept = upTo(top - first + 1, first)
    for (const query of [{ epoch }, {}]) {
      t.strictSame(await read({ ...query, after: first - 1 }), { recovered: true, offsets: kept }, 'the first that is kept is the next')
      t.strictSame(await read({ ...query, after: first }), { recovered: true, offsets: kept.slice(1) })
      t.strictSame(await read({ ...query, after: top - 1 }), { recovered: true, offsets: [top] })
      t.strictSame(await read({ ...query, after: top }), { recovered: true, offsets: [] }, 'there is nothing to miss')
      t.strictSame(await read({ ...query, after: top + 1 }), { recovered: false, offsets: [] }, 'more than there ever was')
      t.strictSame(await read({ ...query, after: Number.MAX_SAFE_INTEGER }), { recovered: false, offsets: [] })
      t.strictSame(await read({ ...query, after: first - 2 }), { recovered: false, offsets: kept }, 'one is missing')
      t.strictSame(await read({ ...query, after: 0 }), { recovered: false, offsets: kept })
    }
    for (const after of [undefined, 0, first, top, top + 1]) {
      t.strictSame(await read({ epoch: 'another', after }), { recovered: false, offsets: [] }, 'another epoch')
    }
    t.strictSame(await read({ epoch: 'another', before: top }), { recovered: false, offsets: [] })
    t.equal((await read({ before: top })).recovered, true)
    t.equal((await broker.history(room, { after: first - 1, limit: 1, maxBytes: 1 })).recovered, true, 'a page that is not the last')
  })

  test(`${name}: forgetting takes the messages and keeps the position`, async (t) => {
    const { broker, other, heard } = await start(t)
    const room = roomName()
    await broker.subscribe(room)
    await publishMany(broker, room, 3)
    const position = await broker.position(room)
    await other.forget(room)
    t.strictSame(await broker.position(room), position)
    for (const node of [broker, other]) {
      t.strictSame(
        await node.history(room, { after: 3, epoch: position?.epoch, ...EVERYTHING }),
        { position, recovered: true, messages: [], next: undefined }
      )
      t.strictSame(
        await node.history(room, { after: 2, epoch: position?.epoch, ...EVERYTHING }),
        { position, recovered: false, messages: [], next: undefined }
      )
      t.strictSame((await node.history(room, EVERYTHING)).messages, [])
    }
    t.strictSame((await broker.publish(text(room, 'next'))).position, { epoch: position?.epoch, offset: 4 })
    const page = await other.history(room, { after: 3, epoch: position?.epoch, ...EVERYTHING })
    t.strictSame({ recovered: page.recovered, texts: page.messages.map(textOf) }, { recovered: true, texts: ['next'] })
    t.equal((await other.history(room, { after: 2, ...EVERYTHING })).recovered, false)
    await heard.untilMessages(room, 4)
    t.strictSame(heard.offsets(room), upTo(4))
    const empty = roomName('nothing to forget')
    await broker.forget(empty)
    t.equal((await broker.position(empty))?.offset, 0)
  })

  test(`${name}: without history there is no position anywhere`, async (t) => {
    const { broker, other, heard } = await start(t, { historyOf: historyOf(0) })
    const room = roomName()
    t.equal(await broker.subscribe(room), undefined)
    const published = await other.publish(text(room, 'a', { exclude: 'tab-of-the-sender-1', bytes: Buffer.from([1]) }))
    t.equal(published.position, undefined)
    t.ok(published.time > Date.UTC(2020))
    t.equal(published.replayed, false)
    t.equal(await broker.position(room), undefined)
    await heard.untilMessages(room, 1)
    const [envelope] = heard.messages(room)
    t.equal(envelope?.position, undefined)
    t.equal(envelope?.exclude, 'tab-of-the-sender-1')
    t.strictSame(envelope?.bytes, Buffer.from([1]))
    for (const query of [{}, { after: 0 }, { after: 1, epoch: 'an epoch' }]) {
      const { position, recovered, messages, next } = await broker.history(room, { ...EVERYTHING, ...query })
      t.strictSame({ position, recovered, messages, next }, { position: undefined, recovered: false, messages: [], next: undefined })
    }
    await broker.forget(room)
    await broker.unsubscribe(room)
  })

  test(`${name}: whoever has caught up has everything that was published to the room before`, async (t) => {
    for (const size of [0, 100]) {
      const { broker, other, heard } = await start(t, { historyOf: historyOf(size) })
      const room = roomName()
      await broker.subscribe(room)
      for (let i = 1; i <= 20; i++) {
        await (i % 2 === 0 ? broker : other).publish(text(room, `${i}`))
        await broker.caughtUp(room)
        t.equal(heard.messages(room).length, i)
      }
    }
  })

  test(`${name}: without history order and idempotency hold all the same`, async (t) => {
    const { broker, other, heard } = await start(t, { historyOf: historyOf(0) })
    const room = roomName()
    await broker.subscribe(room)
    const first = await other.publish(text(room, 'once', idempotency('key')))
    t.strictSame(await broker.publish(text(room, 'once', idempotency('key'))), { ...first, replayed: true })
    await t.rejects(broker.publish(text(room, 'twice', idempotency('key', 'other'))), { code: 'idempotency_conflict' })
    await Promise.all(upTo(50).map(async (i) => await other.publish(text(room, `${i}`))))
    await heard.untilMessages(room, 51)
    t.strictSame(heard.messages(room).map(textOf), ['once', ...upTo(50).map(String)])
  })

  test(`${name}: each room is kept as it is told, whatever the others are`, async (t) => {
    const [kept, short, unkept] = [roomName('kept'), roomName('short'), roomName('unkept')]
    const { broker, other, heard, slack = 0 } = await start(t, {
      historyOf: (room) => room === kept ? { size: 1_000, ttlSeconds: 60 } : room === short ? { size: 3, ttlSeconds: 60 } : undefined
    })
    for (const room of [kept, short, unkept]) await broker.subscribe(room)
    const total = 2 * slack + 10
    for (const room of [kept, short, unkept]) await publishMany(other, room, total)
    await heard.untilMessages(unkept, total)
    t.strictSame(heard.offsets(unkept), Array(total).fill(undefined))
    const lengthOf = async (room: string) => (await broker.history(room, { after: 0, ...EVERYTHING })).messages.length
    t.equal(await lengthOf(kept), total)
    t.ok(await lengthOf(short) <= 3 + slack)
    t.equal(await lengthOf(unkept), 0)
    t.strictSame(
      [(await broker.position(kept))?.offset, (await broker.position(short))?.offset, await broker.position(unkept)],
      [total, total, undefined]
    )
  })

  // Occupancy

  test(`${name}: publish answers how many connections are in the room`, async (t) => {
    const { broker, other, twoNodes } = await start(t)
    const room = roomName()
    t.equal((await broker.publish(text(room, 'nobody'))).audience, 0)
    broker.setOccupancy(room, 3)
    if (twoNodes) other.setOccupancy(room, 4)
    const expected = twoNodes ? 7 : 3
    const answer = await eventually(
      async () => await other.publish(text(room, 'a')),
      ({ audience }) => audience === expected,
      `an audience of ${expected}`
    )
    t.equal(answer.audience, expected)
    broker.setOccupancy(room, 0)
    if (twoNodes) other.setOccupancy(room, 0)
    const last = await eventually(
      async () => await broker.publish(text(room, 'a')),
      ({ audience }) => audience === 0,
      'an audience of 0'
    )
    t.equal(last.audience, 0)
  })

  test(`${name}: elsewhere are the connections of the other nodes`, async (t) => {
    const { broker, other, twoNodes } = await start(t)
    const room = roomName()
    t.equal(await broker.countElsewhere(room), 0)
    broker.setOccupancy(room, 3)
    if (!twoNodes) {
      t.equal(await broker.countElsewhere(room), 0)
      return
    }
    t.equal(await eventually(async () => await other.countElsewhere(room), (count) => count === 3, 'the others to be seen'), 3)
    t.equal(await broker.countElsewhere(room), 0, 'not its own')
  })

  test(`${name}: occupied rooms are listed by name, page by page`, async (t) => {
    const { broker, other, twoNodes } = await start(t)
    const prefix = `${roomName('list')}:`
    const names = [
      ...upTo(290).map((i) => `${prefix}${i}`),
      ...['-', '.', '=', '@', 'A', 'Z', '_', 'a', '|', '~'].map((name) => `${prefix}${name}`)
    ].sort()
    names.forEach((room, i) => { broker.setOccupancy(room, 1 + i % 5) })
    broker.setOccupancy(`${roomName('elsewhere')}`, 1)
    const everything = { prefix, cursor: '', limit: 1_000, filter: () => true }
    await eventually(async () => await other.occupied(everything), ({ rooms }) => rooms.length === names.length, 'all rooms')

    for (const limit of [1, 7, 100, 150, 299, 300, 301]) {
      const seen: string[] = []
      let pages = 0
      let cursor: string | undefined = ''
      while (cursor !== undefined) {
        const page: Awaited<ReturnType<Broker['occupied']>> = await other.occupied({ ...everything, cursor, limit })
        if (page.rooms.length > limit) t.fail('a page has more rooms than its limit')
        seen.push(...page.rooms.map(({ room }) => room))
        cursor = page.next
        if (++pages > names.length) throw new Error('the pages never end')
      }
      t.strictSame(seen, names, `by ${limit}`)
      t.equal(pages, Math.ceil(names.length / limit), 'no empty page at the end')
    }
    const { rooms } = await broker.occupied(everything)
    t.strictSame(rooms, names.map((room, i) => ({ room, audience: 1 + i % 5 })))

    const even = (room: string): boolean => names.indexOf(room) % 2 === 0
    const filtered = await broker.occupied({ ...everything, limit: 100, filter: even })
    t.strictSame(
      filtered.rooms.map(({ room }) => room),
      names.filter(even).slice(0, 100),
      'those passed over do not count towards the limit'
    )
    t.ok(filtered.next !== undefined)
    t.strictSame(await broker.occupied({ ...everything, filter: () => false }), { rooms: [] })
    const narrower = names.filter((room) => room.startsWith(`${prefix}2`))
    t.strictSame((await broker.occupied({ ...everything, prefix: `${prefix}2` })).rooms.map(({ room }) => room), narrower)
    t.strictSame(
      (await broker.occupied({ ...everything, cursor: `${prefix}2` })).rooms.map(({ room }) => room),
      names.slice(names.indexOf(`${prefix}2`) + 1)
    )
    t.strictSame((await broker.occupied({ ...everything, cursor: names.at(-1) as string })).rooms, [])

    broker.setOccupancy(names[0] as string, 0)
    broker.setOccupancy(names[1] as string, 9)
    if (twoNodes) other.setOccupancy(names[1] as string, 2)
    const expected = twoNodes ? 11 : 9
    const changed = await eventually(
      async () => await other.occupied({ ...everything, limit: 1 }),
      ({ rooms: [first] }) => first?.audience === expected,
      'the change'
    )
    t.strictSame(changed.rooms, [{ room: names[1], audience: expected }], 'an empty room is not listed')
  })
}
