import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Test, test } from 'tap'
import { type Client, connect, type ConnectOptions, RoomcastError } from '../../client/node.ts'
import { TokenSource, type TokenProvider } from '../../client/token-source.ts'
import { toCause } from '../../client/errors.ts'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { until } from '../support/until.ts'

function open (t: Test, url: string, options: Partial<ConnectOptions> = {}): Client {
  const client = connect({ url, token: () => makeToken(), ...options })
  t.teardown(() => { client.close() })
  return client
}

const WRONG: Readonly<Record<string, readonly unknown[]>> = {
  url: ['', 'not a url', undefined, null, 5, {}, Symbol('s'), 'ftp://a', 'mailto:a@b', 'javascript:1', 'data:,', 'file:///a', 'http://', '//a'],
  transports: [[], null, 'websocket', 5, {}, ['other'], ['websocket', 'other']],
  log: [true, null, 'console'],
  maxPending: [0, -1, NaN, '5', null, {}],
  backoff: [{ firstMs: 0 }, { maxMs: -1 }, { firstMs: NaN }, { maxMs: '1' }],
  timeouts: [{ connectMs: 0 }, { tokenMs: NaN }, { historyMs: -5 }, { connectMs: '1' }]
}

test('invalid options are refused', (t) => {
  for (const [name, values] of Object.entries(WRONG)) {
    for (const value of values) {
      const options = { url: 'http://127.0.0.1:9', token: 't', autoConnect: false, [name]: value } as unknown as ConnectOptions
      t.throws(() => connect(options), { name: 'RoomcastError', code: 'invalid_request' }, `${name}: ${String(value)}`)
    }
  }
  t.throws(() => connect({ url: 'http://a', token: 't', WebSocket: 5, transports: ['websocket'] } as unknown as ConnectOptions), RoomcastError)
  t.end()
})

test('times that no timer can hold are long times', async (t) => {
  const service = await startService(t)
  const timeouts = { tokenMs: Infinity, connectMs: 2 ** 31, historyMs: 1e300 }
  const client = open(t, service.url, { timeouts, backoff: { firstMs: 1e12, maxMs: Infinity } })
  await client.room('lobby').join()
  await client.room('lobby').history()
  const statuses: string[] = []
  const away = open(t, 'http://127.0.0.1:9', { timeouts, backoff: { firstMs: 1e12, maxMs: Infinity } })
  away.on('status', ({ state }) => { statuses.push(state) })
  await until(() => away.status.state === 'waiting')
  await client.room('lobby').publish(1)
  t.strictSame(statuses, ['waiting'], 'one attempt')
})

test('a log that throws does no harm', async (t) => {
  const service = await startService(t)
  const lines: string[] = []
  const client = open(t, service.url, { log: (line) => { lines.push(line); throw new Error(line) } })
  await client.room('lobby').join()
  await t.rejects(client.room('bad name').join(), { code: 'invalid_room' })
  client.close()
  t.equal(client.status.state, 'closed')
  t.ok(lines.length >= 4)
})

test('a header of the application does not replace the token, whatever its case is', async (t) => {
  const seen: unknown[] = []
  const server = createServer(({ headers }, response) => {
    seen.push([headers.authorization, headers['x-a']])
    response.writeHead(503).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close(); server.closeAllConnections() })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  open(t, url, { token: 'secret', transports: ['events'], headers: { Authorization: 'Basic x', 'X-A': 'a' } })
  await until(() => seen.length > 0)
  t.strictSame(seen[0], ['Bearer secret', 'a'])
})

const thrown = (value: unknown): TokenProvider => () => { throw value }
const NO_TEXT: unknown = { toString () { throw new Error('no text') } }
const FAULTS: readonly unknown[] = [undefined, null, 'text', {}, Object.create(null), NO_TEXT, Symbol('s'), 5, new Error('e')]
const NO_TOKENS: readonly unknown[] = [
  undefined, null, 5, {}, '', '  ', 'a\nb', 'a b', 'Bearer ', '\u00fc', ['a'], () => 'a', new Promise(() => {})
]

test('whatever a token function does, an error tells of it', async (t) => {
  const clock = new ManualClock()
  const get = async (provider: TokenProvider): Promise<unknown> => {
    const source = new TokenSource(provider, { clock, marginMs: 0, timeoutMs: 100 })
    const result = source.get().catch((error: unknown) => error)
    await new Promise((resolve) => setImmediate(resolve))
    clock.tick(100)
    return await result
  }
  for (const fault of FAULTS) {
    t.ok(await get(thrown(fault)) instanceof Error)
    t.ok(await get(async () => await Promise.reject(fault)) instanceof Error)
    t.ok(toCause(fault) instanceof Error)
  }
  for (const value of NO_TOKENS) {
    t.ok(await get((() => value) as TokenProvider) instanceof Error, String(value))
    if (typeof value !== 'function') t.ok(await get(value as TokenProvider) instanceof Error, String(value))
  }
  for (const value of [' Bearer x \n', 'x', 'bearer  x', '\tx\r\n']) {
    t.equal(await get(() => value), 'x')
    t.equal(await get(value), 'x')
  }
  t.equal(clock.next, Infinity, 'no timer is left')
})

test('a late token is ignored, and its signal has aborted', async (t) => {
  const clock = new ManualClock()
  const signals: AbortSignal[] = []
  const answers: ((token: string) => void)[] = []
  const source = new TokenSource(async ({ signal }) => {
    signals.push(signal)
    return await new Promise((resolve) => { answers.push(resolve) })
  }, { clock, marginMs: 0, timeoutMs: 100 })
  const first = source.get().catch((error: unknown) => error)
  clock.tick(100)
  t.ok(await first instanceof Error)
  t.ok(signals[0]?.aborted)
  const second = source.get()
  answers[0]?.('late')
  answers[1]?.('token')
  t.equal(await second, 'token')
  t.equal(await source.get(), 'token')
  t.notOk(signals[1]?.aborted)
})
