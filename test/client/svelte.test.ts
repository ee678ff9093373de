import { type Test, test } from 'tap'
import { type Client, connect, type ConnectOptions } from '../../client/node.ts'
import { type Readable, roomStore, type RoomStoreOptions, statusStore } from '../../client/svelte/index.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'

/** Starts a client that closes with the test. */
function open (t: Test, { url }: Service, options: Partial<ConnectOptions> = {}): Client {
  const client = connect({ url, token: makeToken(), ...options })
  t.teardown(() => { client.close() })
  return client
}

async function post (service: Service, room: string, text: string): Promise<void> {
  await call(service, 'POST', `/v1/rooms/${room}/messages`, { body: { text } })
}

/** The values of a store so far, and a function that ends the subscription. */
function listen<Value> (store: Readable<Value>): { values: Value[], last: () => Value, stop: () => void } {
  const values: Value[] = []
  const stop = store.subscribe((value) => { values.push(value) })
  return { values, last: () => values.at(-1) as Value, stop }
}

/** The texts of a room's messages, as a store has them. */
function texts ({ messages }: { messages: readonly { text?: string | undefined }[] }): unknown[] {
  return messages.map(({ text }) => text)
}

test('a room is a readable store, and the client is a member as long as the store has subscribers', async (t) => {
  const service = await startService(t)
  const client = open(t, service)
  const lobby = roomStore(client, 'lobby')
  const first = listen(lobby)
  t.match(first.values, [{ messages: [], state: 'idle', recovered: undefined, hasOlder: false, error: undefined }], 'at once')
  await until(() => first.last().state === 'joined')
  await post(service, 'lobby', 'hi')
  await until(() => texts(first.last()).join() === 'hi')
  const second = listen(lobby)
  t.strictSame(texts(second.last()), ['hi'], 'a later subscriber has the value at once')
  first.stop()
  first.stop()
  await lobby.send('again')
  await until(() => second.last().messages.length === 2)
  t.strictSame(texts(first.last()), ['hi'], 'a subscriber that has left is not called')
  second.stop()
  await until(() => client.room('lobby').state === 'idle', 'the room to be left')
  const third = listen(lobby)
  await until(() => third.last().state === 'joined')
  t.strictSame(third.last().messages, [], 'it begins anew')
  third.stop()
})

test('stores of one room share the membership with the application', async (t) => {
  const service = await startService(t)
  const client = open(t, service)
  const [one, other] = [listen(roomStore(client, 'lobby')), listen(roomStore(client, 'lobby'))]
  await until(() => one.last().state === 'joined' && other.last().state === 'joined')
  one.stop()
  await client.room('lobby').join()
  other.stop()
  await call(service, 'GET', '/v1/rooms/lobby') // After the answer, a leave would have been sent.
  t.equal(client.room('lobby').state, 'joined')
})

test('without a client or a name a room is idle, as on a server', async (t) => {
  const service = await startService(t)
  for (const store of [roomStore(undefined, 'lobby'), roomStore(open(t, service), null)]) {
    const { values, stop } = listen(store)
    t.match(values, [{ messages: [], state: 'idle' }])
    await t.rejects(store.send('hi' as never), { code: 'not_joined' })
    t.equal(await store.loadOlder(), false)
    stop()
  }
  t.strictSame(listen(statusStore(undefined)).values, [{ state: 'connecting' }])
})

test('the status of a client is a readable store', async (t) => {
  const service = await startService(t)
  const client = open(t, service)
  const { last } = listen(statusStore(client))
  await until(() => last().state === 'connected')
  client.close()
  await until(() => last().state === 'closed')
  t.equal(listen(statusStore(client)).last().state, 'closed')
})

test('a limit below 1 and NaN keep no message, and a broken number is rounded down', async (t) => {
  const service = await startService(t)
  const client = open(t, service)
  await post(service, 'lobby', '0')
  const heard: unknown[] = []
  client.room('lobby').on('message', ({ text }) => { heard.push(text) })
  const bounds: [options: RoomStoreOptions, expected: string[]][] = [
    [{ limit: 0 }, []],
    [{ limit: 0, history: 5 }, []],
    [{ limit: -1, history: 1 }, []],
    [{ limit: NaN }, []],
    [{ limit: 0.5 }, []],
    [{ limit: 1.5 }, ['2']],
    [{ limit: Infinity, history: Infinity }, ['0', '1', '2']],
    [{ history: NaN }, ['1', '2']],
    [{ history: -1 }, ['1', '2']]
  ]
  const stores = bounds.map(([options]) => roomStore(client, 'lobby', options))
  const seen = stores.map((store) => listen(store))
  await until(() => seen.every(({ last }) => last().state === 'joined'))
  await until(() => seen[6]?.last().messages.length === 1, 'the history')
  for (const text of ['1', '2']) await post(service, 'lobby', text)
  await until(() => heard.length === 2)
  for (const [i, [options, expected]] of bounds.entries()) {
    await until(() => texts(seen[i]?.last() ?? { messages: [] }).at(-1) === expected.at(-1))
    t.strictSame(texts(seen[i]?.last() ?? { messages: [] }), expected, JSON.stringify(options))
    t.equal(seen[i]?.last().error, undefined)
  }
  t.equal(await stores[0]?.loadOlder(), false)
  for (const { stop } of seen) stop()
})
