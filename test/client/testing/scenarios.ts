import type { Client, Message, Room, RoomcastError } from '../../../client/node.ts'
import type { Side, SideOptions } from './sides.ts'

/** A course of events, and the events that the clients see on either side. */
export interface Scenario {
  name: string
  options?: SideOptions
  run: (side: Side) => Promise<unknown>
  expected: unknown
}

/** Records the events of a room, without times and epochs. */
function record (room: Room): unknown[] {
  const seen: unknown[] = []
  room.on('joined', ({ offset, audience, recovered, missed }) => { seen.push(['joined', offset, audience, recovered, missed]) })
  room.on('message', (message) => { seen.push(describe(message)) })
  room.on('reset', ({ reason, offset }) => { seen.push(['reset', reason, offset]) })
  room.on('system', (notice) => { seen.push(['system', notice.event, 'user' in notice && notice.user, notice.text]) })
  room.on('left', ({ reason }) => { seen.push(['left', reason]) })
  return seen
}

function describe ({ offset, from, event, data, text, bytes }: Message): unknown[] {
  return [offset, from, ...(event === undefined ? [] : [event]), bytes === undefined ? text ?? data : [...bytes]]
}

async function codeOf (promise: Promise<unknown>): Promise<string> {
  return await promise.then(() => 'nothing', (error: RoomcastError) => error.code)
}

/** Joins a room, and records its events. */
async function enter (client: Client, name: string): Promise<{ room: Room, seen: unknown[] }> {
  const room = client.room(name)
  const seen = record(room)
  await room.join()
  return { room, seen }
}

/** Waits until all members of a room have a message of the backend: the earlier messages have arrived. */
async function flush (side: Side, seen: unknown[][], room = 'lobby'): Promise<void> {
  await side.publish(room, { data: 'end' })
  const isThere = (list: unknown[]): boolean => JSON.stringify(list.at(-1)).endsWith('"shop","end"]')
  await side.until(() => seen.every(isThere), 'the last message')
}

async function leaveAndReturn (side: Side, user: string, client: Client, meanwhile: () => Promise<void>): Promise<void> {
  await side.cut(user)
  await side.until(() => client.status.state !== 'connected', 'the end of the connection')
  await meanwhile()
  await side.mend(user)
}

export const SCENARIOS: Scenario[] = [{
  name: 'messages of two users arrive in one order, and each publish has its place',
  async run (side) {
    const [ada, bob] = [await enter(side.connect('ada'), 'lobby'), await enter(side.connect('bob'), 'lobby')]
    const places = [await ada.room.publish({ n: 1 }), await bob.room.publish('two', { event: 'said' }), await ada.room.publish(null)]
    await flush(side, [ada.seen, bob.seen])
    return [places.map(({ room, offset }) => [room, offset]), new Set(places.map(({ epoch }) => epoch)).size, ada.seen, bob.seen]
  },
  expected: [
    [['lobby', 1], ['lobby', 2], ['lobby', 3]],
    1,
    [
      ['joined', 0, 1, undefined, undefined], ['system', 'joined', 'bob', 'bob joined lobby'],
      [1, 'ada', { n: 1 }], [2, 'bob', 'said', 'two'], [3, 'ada', null], [4, 'shop', 'end']
    ],
    [['joined', 0, 2, undefined, undefined], [1, 'ada', { n: 1 }], [2, 'bob', 'said', 'two'], [3, 'ada', null], [4, 'shop', 'end']]
  ]
}, {
  name: 'a client that comes back gets the missed messages before newer ones',
  async run (side) {
    const client = side.connect('ada')
    const { seen } = await enter(client, 'lobby')
    await side.publish('lobby', { data: 1 })
    await side.until(() => seen.length === 2)
    await leaveAndReturn(side, 'ada', client, async () => {
      await side.publish('lobby', { text: 'two' })
      await side.publish('lobby', { bytes: new Uint8Array([3]), event: 'sketch' })
    })
    await side.until(() => seen.length >= 5)
    await flush(side, [seen])
    return seen
  },
  expected: [
    ['joined', 0, 1, undefined, undefined], [1, 'shop', 1],
    ['joined', 3, 1, true, 2], [2, 'shop', 'two'], [3, 'shop', 'sketch', [3]], [4, 'shop', 'end']
  ]
}, {
  name: 'own messages without an echo, and those that exclude the client, are not missed',
  async run (side) {
    const client = side.connect('ada')
    const { room, seen } = await enter(client, 'lobby')
    const other = await enter(side.connect('bob'), 'lobby')
    const place = await room.publish(1, { echo: false })
    await other.room.publish(2)
    await side.until(() => seen.length === 3)
    await leaveAndReturn(side, 'ada', client, async () => { await side.publish('lobby', { data: 3 }, { exclude: client.origin }) })
    await side.until(() => seen.some((entry) => JSON.stringify(entry).startsWith('["joined",3')))
    await flush(side, [seen])
    const { messages } = await room.history()
    return [place.offset, seen, messages.map(describe)]
  },
  expected: [
    1,
    [
      ['joined', 0, 1, undefined, undefined], ['system', 'joined', 'bob', 'bob joined lobby'], [2, 'bob', 2],
      ['joined', 3, 2, true, 0], [4, 'shop', 'end']
    ],
    [[1, 'ada', 1], [2, 'bob', 2], [3, 'shop', 3], [4, 'shop', 'end']]
  ]
}, {
  name: 'a client that missed more than the history holds is told so',
  options: { history: 3 },
  async run (side) {
    const client = side.connect('ada')
    const { seen } = await enter(client, 'lobby')
    await leaveAndReturn(side, 'ada', client, async () => {
      for (let n = 1; n <= 4; n++) await side.publish('lobby', { data: n })
    })
    await side.until(() => seen.length >= 3)
    await flush(side, [seen])
    return seen
  },
  expected: [['joined', 0, 1, undefined, undefined], ['joined', 4, 1, false, undefined], ['reset', 'history', 4], [5, 'shop', 'end']]
}, {
  name: 'a client that missed more than a page gets all of it or is told so',
  async run (side) {
    const client = side.connect('ada')
    const { seen } = await enter(client, 'lobby')
    await leaveAndReturn(side, 'ada', client, async () => {
      await Promise.all(Array.from({ length: 301 }, async (_, n) => await side.publish('lobby', { data: n })))
    })
    await side.until(() => seen.length >= 3)
    await flush(side, [seen])
    const offsets = seen.slice(2).map((entry) => (entry as unknown[])[0])
    return offsets.join() === 'reset,302' || offsets.join() === Array.from({ length: 302 }, (_, i) => i + 1).join()
  },
  expected: true
}, {
  name: 'a service that has forgotten its rooms begins a new epoch',
  async run (side) {
    const { room, seen } = await enter(side.connect('ada'), 'lobby')
    await room.publish(1)
    const before = room.position?.epoch
    await side.restart()
    await side.until(() => seen.length >= 4)
    await flush(side, [seen])
    const { recovered } = await room.history({ after: 0, ...(before !== undefined && { epoch: before }) })
    return [seen, room.position?.epoch === before, recovered]
  },
  expected: [
    [
      ['joined', 0, 1, undefined, undefined], [1, 'ada', 1],
      ['joined', 0, 1, false, undefined], ['reset', 'history', 0], [1, 'shop', 'end']
    ],
    false,
    false
  ]
}, {
  name: 'the retry after a lost answer is one message',
  async run (side) {
    const client = side.connect('ada')
    const { room, seen } = await enter(client, 'lobby')
    let place: unknown
    await side.loseAnswer('ada', client, () => { void room.publish({ n: 1 }).then(({ offset }) => { place = offset }) })
    await side.until(() => place !== undefined, 'the answer')
    await flush(side, [seen])
    const { messages } = await room.history()
    return [place, messages.map(describe), seen.filter((entry) => JSON.stringify(entry).includes('"ada",{'))]
  },
  expected: [1, [[1, 'ada', { n: 1 }], [2, 'shop', 'end']], [[1, 'ada', { n: 1 }]]]
}, {
  name: 'a key is one message, and another message with it is a conflict',
  async run (side) {
    const { room, seen } = await enter(side.connect('ada'), 'lobby')
    const offsets = [(await room.publish(1, { key: 'k' })).offset, (await room.publish(1, { key: 'k' })).offset]
    const codes = [await codeOf(room.publish(2, { key: 'k' })), await codeOf(room.publish(1, { key: 'k', event: 'other' }))]
    const bob = await enter(side.connect('bob'), 'lobby')
    offsets.push((await bob.room.publish(2, { key: 'k' })).offset)
    await flush(side, [seen])
    return [offsets, codes, seen.filter((entry) => Array.isArray(entry) && typeof entry[0] === 'number')]
  },
  expected: [[1, 1, 2], ['idempotency_conflict', 'idempotency_conflict'], [[1, 'ada', 1], [2, 'bob', 2], [3, 'shop', 'end']]]
}, {
  name: 'history is read page by page, both ways',
  options: { history: 6 },
  async run (side) {
    const { room } = await enter(side.connect('ada'), 'lobby')
    for (let n = 1; n <= 8; n++) await side.publish('lobby', n === 8 ? { bytes: new Uint8Array([8, 9]) } : { data: n })
    const pages = []
    for (const range of [
      { after: 2, limit: 2 }, { after: 4, limit: 4 }, { after: 1 },
      { before: 9, limit: 4 }, { before: 5, limit: 4 }, { limit: 1 }, { after: 3, before: 6 },
      { after: 8 }, { after: 9 }, { before: 1 }, { before: 3, limit: 1 }, { epoch: 'other' }
    ]) {
      const { offset, recovered, next, messages } = await room.history(range)
      pages.push([offset, recovered, next, messages.map((message) => describe(message)[0])])
    }
    return [pages, (await room.history({ limit: 1 })).messages.map(describe)]
  },
  expected: [
    [
      [8, true, 4, [3, 4]], [8, true, undefined, [5, 6, 7, 8]], [8, false, undefined, [3, 4, 5, 6, 7, 8]],
      [8, true, 5, [5, 6, 7, 8]], [8, true, undefined, [3, 4]], [8, true, 8, [8]], [8, true, undefined, [4, 5]],
      [8, true, undefined, []], [8, false, undefined, []], [8, true, undefined, []], [8, true, undefined, []], [8, false, undefined, []]
    ],
    [[8, 'shop', [8, 9]]]
  ]
}, {
  name: 'a client that leaves gets nothing until it joins again',
  async run (side) {
    const { room, seen } = await enter(side.connect('ada'), 'lobby')
    const bob = await enter(side.connect('bob'), 'lobby')
    await side.until(() => seen.length === 2, 'the notice')
    await room.leave()
    await side.until(() => JSON.stringify(bob.seen).includes('ada left'))
    await bob.room.publish(1)
    await room.join()
    await bob.room.publish(2)
    await flush(side, [seen, bob.seen])
    return [seen, bob.seen, await codeOf(side.connect('bob').room('other').publish(1))]
  },
  expected: [
    [
      ['joined', 0, 1, undefined, undefined], ['system', 'joined', 'bob', 'bob joined lobby'],
      ['joined', 1, 2, undefined, undefined], [2, 'bob', 2], [3, 'shop', 'end']
    ],
    [
      ['joined', 0, 2, undefined, undefined], ['system', 'left', 'ada', 'ada left lobby'], [1, 'bob', 1],
      ['system', 'joined', 'ada', 'ada joined lobby'], [2, 'bob', 2], [3, 'shop', 'end']
    ],
    'not_joined'
  ]
}, {
  name: 'binary messages arrive with their events, and to the publisher too',
  async run (side) {
    const [ada, bob] = [await enter(side.connect('ada'), 'lobby'), await enter(side.connect('bob'), 'lobby')]
    await ada.room.publish(new Uint8Array([1, 2]), { event: 'sketch' })
    await ada.room.publish(new Uint8Array(0))
    await ada.room.publish(new Uint8Array([3]), { echo: false })
    await flush(side, [ada.seen, bob.seen])
    return [ada.seen.slice(2), bob.seen.slice(1)]
  },
  expected: [
    [[1, 'ada', 'sketch', [1, 2]], [2, 'ada', []], [4, 'shop', 'end']],
    [[1, 'ada', 'sketch', [1, 2]], [2, 'ada', []], [3, 'ada', [3]], [4, 'shop', 'end']]
  ]
}, {
  name: 'two connections of a user are one member, and both get what the user is sent',
  async run (side) {
    const bob = await enter(side.connect('bob'), 'lobby')
    const [first, second] = [side.connect('ada'), side.connect('ada')]
    const tabs = [await enter(first, 'lobby'), await enter(second, 'lobby')]
    const own = [await enter(first, '@user'), await enter(second, '@user')]
    const audiences = tabs.map(({ seen }) => seen[0])
    await tabs[0]?.room.publish(1, { echo: false })
    await flush(side, [bob.seen, ...tabs.map(({ seen }) => seen)])
    first.close()
    await side.publish('lobby', { data: 'end' })
    await side.cut('ada')
    await side.until(() => JSON.stringify(bob.seen).includes('ada left'))
    return [audiences, own.map(({ seen }) => seen[0]), tabs[0]?.seen.slice(1), tabs[1]?.seen.slice(1, 3), bob.seen]
  },
  expected: [
    [['joined', 0, 2, undefined, undefined], ['joined', 0, 3, undefined, undefined]],
    [['joined', 0, 2, undefined, undefined], ['joined', 0, 2, undefined, undefined]],
    [[2, 'shop', 'end']],
    [[1, 'ada', 1], [2, 'shop', 'end']],
    [
      ['joined', 0, 1, undefined, undefined], ['system', 'joined', 'ada', 'ada joined lobby'], [1, 'ada', 1],
      [2, 'shop', 'end'], [3, 'shop', 'end'], ['system', 'left', 'ada', 'ada left lobby']
    ]
  ]
}, {
  name: 'rooms without history have no positions',
  options: { history: 0 },
  async run (side) {
    const client = side.connect('ada')
    const { room, seen } = await enter(client, 'lobby')
    const { offset, epoch } = await room.publish(1)
    const page = await room.history()
    await leaveAndReturn(side, 'ada', client, async () => { await side.publish('lobby', { data: 2 }) })
    await side.until(() => seen.some((entry, i) => i > 1 && JSON.stringify(entry).startsWith('["joined"')))
    await flush(side, [seen])
    return [seen, offset, epoch, page.recovered, page.messages, room.position]
  },
  expected: [
    [
      ['joined', undefined, 1, undefined, undefined], [undefined, 'ada', 1],
      ['joined', undefined, 1, false, undefined], ['reset', 'history', undefined], [undefined, 'shop', 'end']
    ],
    undefined, undefined, false, [], undefined
  ]
}, {
  name: 'refusals have the same codes',
  async run (side) {
    const client = side.connect('ada')
    const { room } = await enter(client, 'lobby')
    const all = client.room('@all')
    await all.join()
    return [
      await codeOf(client.room('no such name').join()), await codeOf(client.room('@user:bob').join()),
      await codeOf(room.publish(1, { event: '' })), await codeOf(room.publish(1, { key: ' k' })),
      await codeOf(all.publish(1)), (await all.history()).messages
    ]
  },
  expected: ['invalid_room', 'invalid_room', 'invalid_frame', 'invalid_frame', 'forbidden', []]
}]
