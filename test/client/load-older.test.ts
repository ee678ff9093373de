import { type Test, test } from 'tap'
import { type Client, connect, type Timeouts } from '../../client/node.ts'
import { type RoomReadable, roomStore, type RoomStoreOptions } from '../../client/svelte/index.ts'
import { RoomcastError } from '../../src/errors.ts'
import { call, type Service, startService } from '../support/service.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'

/** A room's store with a subscriber, in a room that has messages already. */
interface Seen {
  client: Client
  store: RoomReadable<unknown>
  texts: () => (string | undefined)[]
  hasOlder: () => boolean
  error: () => string | undefined
  /** Ends the subscription. */
  stop: () => void
}

async function post (service: Service, ...texts: string[]): Promise<void> {
  for (const text of texts) await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text } })
}

async function see (
  t: Test,
  url: string,
  { token = makeToken(), timeouts = {}, ...options }: RoomStoreOptions & { token?: string, timeouts?: Partial<Timeouts> } = {}
): Promise<Seen> {
  const client = connect({ url, token, timeouts })
  const store = roomStore(client, 'lobby', options)
  let last: Parameters<Parameters<typeof store.subscribe>[0]>[0] | undefined
  const stop = store.subscribe((value) => { last = value })
  t.teardown(() => {
    stop()
    client.close()
  })
  await until(() => last?.state === 'joined')
  return {
    client,
    store,
    texts: () => last?.messages.map(({ text }) => text) ?? [],
    hasOlder: () => last?.hasOlder === true,
    error: () => last?.error?.code,
    stop
  }
}

/** The reads of older messages from a service. */
interface Reads {
  count: number
  /** Lets the reads go on, or fail. */
  release: () => void
  fail: (error: RoomcastError) => void
}

/** Holds the answers to reads of older messages, until the test lets them go. */
function holdReads (t: Test, service: Service): Reads {
  const { broker } = service.app.roomcast
  const read = broker.history.bind(broker)
  const reads: Reads = { count: 0, release: () => {}, fail: () => {} }
  const gate = new Promise<void>((resolve, reject) => { Object.assign(reads, { release: resolve, fail: reject }) })
  gate.catch(() => {})
  broker.history = async (room, query) => {
    const page = await read(room, query)
    if (query.before === undefined) return page // The service resumes with such a read.
    reads.count++
    await gate
    return page
  }
  t.teardown(() => { broker.history = read })
  return reads
}

test('older messages are loaded page by page, up to the first one', async (t) => {
  const service = await startService(t)
  await post(service, '1', '2', '3', '4', '5')
  const { store, texts, hasOlder } = await see(t, service.url, { history: 2, limit: 2 })
  await until(() => texts().join() === '4,5')
  t.ok(hasOlder())
  t.equal(await store.loadOlder(), true)
  await until(() => texts().join() === '2,3,4,5')
  t.equal(await store.loadOlder(), false)
  await until(() => texts().join() === '1,2,3,4,5')
  t.notOk(hasOlder())
  t.equal(await store.loadOlder(), false, 'without another read')
})

test('without the option history, the first page ends where the room was joined', async (t) => {
  const service = await startService(t)
  await post(service, '1', '2')
  const { store, texts, hasOlder } = await see(t, service.url)
  await until(hasOlder)
  await post(service, '3')
  await until(() => texts().join() === '3')
  t.equal(await store.loadOlder(), false)
  await until(() => texts().join() === '1,2,3')
})

test('loaded messages count on top of the limit; a message that leaves the list can be loaded again', async (t) => {
  const service = await startService(t)
  await post(service, '1', '2', '3', '4')
  const { store, texts, hasOlder } = await see(t, service.url, { history: 2, limit: 2 })
  await until(() => texts().join() === '3,4')
  t.equal(await store.loadOlder(), false)
  await until(() => texts().join() === '1,2,3,4')
  await post(service, '5')
  await until(() => texts().join() === '2,3,4,5')
  t.ok(hasOlder())
  t.equal(await store.loadOlder(), false)
  await until(() => texts().join() === '1,2,3,4,5')
})

test('concurrent calls share one read, and messages that arrive during it leave no gap', async (t) => {
  const service = await startService(t)
  await post(service, '1', '2', '3')
  const { store, texts } = await see(t, service.url, { history: 1, limit: 1 })
  await until(() => texts().join() === '3')
  const reads = holdReads(t, service)
  const loads = [store.loadOlder(), store.loadOlder()]
  await until(() => reads.count === 1)
  loads.push(store.loadOlder())
  await post(service, '4', '5')
  await until(() => texts().join() === '3,4,5', 'the list to grow during the read')
  reads.release()
  t.strictSame(await Promise.all(loads), [true, true, true])
  await until(() => texts().join() === '2,3,4,5')
  t.equal(reads.count, 1)
})

test('a call during the first load waits for it', async (t) => {
  const service = await startService(t)
  await post(service, '1', '2', '3')
  const reads = holdReads(t, service)
  const { store, texts } = await see(t, service.url, { history: 1, limit: 5 })
  await until(() => reads.count === 1)
  const load = store.loadOlder()
  reads.release()
  t.equal(await load, true)
  await until(() => texts().join() === '2,3')
})

test('a first load without an answer in time is repeated', async (t) => {
  const service = await startService(t)
  await post(service, '1')
  const reads = holdReads(t, service)
  const { client, texts, error } = await see(t, service.url, { history: 1, timeouts: { historyMs: 50 } })
  await until(() => reads.count === 1)
  await t.rejects(client.room('lobby').history({ before: 9 }), { code: 'timeout' }, 'a later read has ended as well')
  t.strictSame([texts(), error()], [[], undefined])
  reads.release()
  await until(() => texts().join() === '1')
})

test('a load has no effect after a gap', async (t) => {
  const service = await startService(t)
  const network = await TcpProxy.start(t, service.port)
  await post(service, '1', '2', '3')
  const { client, store, texts } = await see(t, `http://127.0.0.1:${network.port}`)
  await until(() => client.room('lobby').position?.offset === 3)
  const reads = holdReads(t, service)
  const load = store.loadOlder()
  await until(() => reads.count === 1)
  network.cut()
  await until(() => client.room('lobby').state === 'joining')
  await post(service, '4')
  await call(service, 'DELETE', '/v1/rooms/lobby/messages', { token: makeToken({ rooms: { '**': ['*'] } }) })
  await post(service, '5')
  const reset = new Promise((resolve) => { client.room('lobby').on('reset', resolve) })
  network.heal()
  client.retry()
  await reset
  const next = store.loadOlder()
  await until(() => reads.count === 2, 'a read of its own')
  reads.release()
  await load
  t.equal(await next, false)
  t.equal(await store.loadOlder(), false)
  await until(() => texts().join() === '5')
})

test('a load has no effect when the store has no subscriber any more', async (t) => {
  const service = await startService(t)
  await post(service, '1')
  const { client, store, texts, hasOlder, stop } = await see(t, service.url)
  await until(hasOlder)
  const reads = holdReads(t, service)
  const load = store.loadOlder()
  await until(() => reads.count === 1)
  stop()
  await until(() => client.room('lobby').state === 'idle')
  reads.release()
  t.equal(await load, false)
  const again: unknown[][] = []
  store.subscribe(({ messages }) => { again.push([...messages]) })()
  t.strictSame(again, [[]])
  t.strictSame(texts(), [])
})

test('an error rejects all calls, and the next call reads again', async (t) => {
  const service = await startService(t)
  await post(service, '1')
  const { store, texts, hasOlder } = await see(t, service.url)
  await until(hasOlder)
  const reads = holdReads(t, service)
  const loads = [store.loadOlder(), store.loadOlder()].map(async (load) => await load.catch(({ code }) => code as string))
  await until(() => reads.count === 1)
  reads.fail(new RoomcastError('forbidden', 'no'))
  t.strictSame(await Promise.all(loads), ['forbidden', 'forbidden'])
  t.strictSame(texts(), [])
  await t.rejects(store.loadOlder(), { code: 'forbidden' })
  t.equal(reads.count, 2)
})

test('without the grant, a load is forbidden, and the list is kept at its limit', async (t) => {
  const service = await startService(t)
  await post(service, '1')
  const token = makeToken({ rooms: { '**': ['join'] } })
  const { store, texts, hasOlder, error } = await see(t, service.url, { limit: 1, history: 1, token })
  await until(() => error() === 'forbidden')
  t.ok(hasOlder())
  await t.rejects(store.loadOlder(), { code: 'forbidden' })
  await post(service, '2', '3')
  await until(() => texts().at(-1) === '3')
  t.strictSame(texts(), ['3'])
})

test('a room without history has no older messages', async (t) => {
  const service = await startService(t, { HISTORY_SIZE: '0' })
  const { store, texts, hasOlder } = await see(t, service.url, { limit: 1, history: 1 })
  await post(service, '1', '2')
  await until(() => texts().join() === '2')
  t.notOk(hasOlder())
  t.equal(await store.loadOlder(), false)
})
