import { readFile } from 'node:fs/promises'
import type { Browser, BrowserContext } from 'playwright-core'
import tap, { type Test, test } from 'tap'
import { startBrowser } from '../support/browser.ts'
import { findRedis } from '../support/debian.ts'
import { RedisServer } from '../support/redis-server.ts'
import { call, type Service, startService } from '../support/service.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { serveTabs, Tab, type TabOptions } from './tabs-page.ts'

/** A service behind a proxy, which counts connections, and an empty browser. */
interface Stage {
  service: Service
  proxy: TcpProxy
  url: string
  open: (options?: TabOptions) => Promise<Tab>
}

let browser: Browser | undefined
let address = ''

/** Sets the stage. Rooms `fast:…` have no history. */
async function setStage (t: Test, environment: Record<string, string> = {}): Promise<Stage | undefined> {
  browser ??= await startBrowser(tap)
  if (browser === undefined) return undefined
  if (address === '') address = await serveTabs(tap)
  const rules = [{ pattern: 'fast:*', history: false }]
  const file = `${t.testdir({ 'rooms.json': JSON.stringify(rules) })}/rooms.json`
  const service = await startService(t, { ROOMS_FILE: file, ...environment })
  const proxy = await TcpProxy.start(t, service.port)
  const url = `http://127.0.0.1:${proxy.port}`
  const context: BrowserContext = await browser.newContext()
  t.teardown(async () => { await context.close() })
  return { service, proxy, url, open: async (options) => await Tab.open(context, address, { url, tokens: [makeToken()], ...options }) }
}

async function audience (service: Service, room: string): Promise<number> {
  return (await call(service, 'GET', `/v1/rooms/${room}`)).body.audience
}

for (const room of ['lobby', 'fast:lobby']) {
  test(`two tabs have one connection, and each message arrives in both once: ${room}`, async (t) => {
    const stage = await setStage(t)
    if (stage === undefined) return
    const [one, two] = [await stage.open(), await stage.open({ worker: '/tabs-worker.js' })]
    await one.join(room)
    await one.publish(room, 'before')
    await two.join(room)
    t.equal(stage.proxy.connections, 1)
    t.equal(await audience(stage.service, room), 1)
    await one.publish(room, 'from one')
    await two.publish(room, 'from two')
    await two.publish(room, [1, 2, 3])
    await call(stage.service, 'POST', `/v1/rooms/${room}/messages`, { body: { data: 'from REST' } })
    for (const tab of [one, two]) await tab.until(room, 'from REST')
    t.strictSame(await one.got(room), ['before', 'from one', 'from two', [1, 2, 3], 'from REST'])
    t.strictSame(await two.got(room), ['from one', 'from two', [1, 2, 3], 'from REST'])
    t.equal(await one.countMessages(), 4, 'beside the binary one')
  })

  test(`echo: false hides a message from its tab alone: ${room}`, async (t) => {
    const stage = await setStage(t)
    if (stage === undefined) return
    const [one, two] = [await stage.open(), await stage.open()]
    for (const tab of [one, two]) await tab.join(room)
    // The same contents from both, at the same time.
    const contents = ['a', 'a', 'b', [4, 5], 'a']
    await Promise.all([one, two].map(async (tab) => {
      await Promise.all(contents.map(async (content) => { await tab.publish(room, content, { echo: false }) }))
    }))
    await one.publish(room, 'end')
    for (const tab of [one, two]) await tab.until(room, 'end')
    const order = (got: unknown[]): string[] => got.map((content) => JSON.stringify(content)).sort()
    for (const tab of [one, two]) t.strictSame(order(await tab.got(room)), order([...contents, 'end']))
  })
}

test('a message with echo: false stays hidden when it comes after its answer', async (t) => {
  const program = findRedis(t)
  if (program === undefined) return
  const redis = await TcpProxy.start(t, (await RedisServer.start(t, program)).port)
  const stage = await setStage(t, { REDIS_URL: `redis://127.0.0.1:${redis.port}` })
  if (stage === undefined) return
  const [one, two] = [await stage.open(), await stage.open()]
  for (const room of ['lobby', 'fast:lobby']) for (const tab of [one, two]) await tab.join(room)
  // Longer than an answer waits for its message.
  redis.delaySubscriptions(1_500)
  for (const room of ['lobby', 'fast:lobby']) {
    await one.publish(room, 'quiet', { echo: false })
    await one.publish(room, 'end')
  }
  for (const room of ['lobby', 'fast:lobby']) {
    for (const tab of [one, two]) await tab.until(room, 'end')
    t.strictSame(await one.got(room), ['end'])
    t.strictSame(await two.got(room), ['quiet', 'end'])
  }
})

test('a resume does not bring an own message with echo: false', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const [one, two] = [await stage.open(), await stage.open()]
  for (const tab of [one, two]) await tab.join('lobby')
  const { epoch = '', offset = 0 } = await one.publish('lobby', 'first')
  await one.publish('lobby', 'quiet', { echo: false })
  for (const tab of [one, two]) {
    await tab.leave('lobby')
    await tab.join('lobby', { epoch, offset })
  }
  await two.publish('lobby', 'end')
  const count = (got: unknown[], data: string): number => got.filter((other) => other === data).length
  for (const tab of [one, two]) await tab.until('lobby', 'end')
  t.equal(count(await one.got('lobby'), 'quiet'), 0)
  // Before and after the resume, the latter with the listeners of both joins.
  t.equal(count(await two.got('lobby'), 'quiet'), 3)
})

for (const without of [undefined, 'locks'] as const) {
  test(`a closed tab leaves its rooms, and the last client the service, ${without === undefined ? 'with' : 'without'} locks`, async (t) => {
    const stage = await setStage(t)
    if (stage === undefined) return
    const { service, proxy } = stage
    const [one, two] = [await stage.open({ without }), await stage.open({ without })]
    await one.join('lobby')
    await one.join('one')
    await two.join('lobby')
    await one.close()
    await until(async () => await audience(service, 'one') === 0, 'the end of the membership')
    t.equal(await audience(service, 'lobby'), 1)
    await two.publish('lobby', 'still here')
    await two.until('lobby', 'still here')
    t.strictSame(await two.statuses(), ['connected'])
    await two.page.evaluate(() => { window.client.close() })
    await until(() => proxy.connections === 0, 'the end of the connection')
    t.equal(await audience(service, 'lobby'), 0)
  })
}

test('the end of a process ends the membership of its tab', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const [one, two] = [await stage.open(), await stage.open()]
  for (const tab of [one, two]) await tab.join('lobby')
  await one.join('one')
  await two.join('two')
  await two.crash()
  await until(async () => await audience(stage.service, 'two') === 0, 'the end of the membership')
  await one.publish('lobby', 'still here')
  await one.until('lobby', 'still here')
  const three = await stage.open()
  await three.join('lobby')
  // The worker may run in the same process.
  await one.crash()
  await until(async () => await audience(stage.service, 'one') === 0, 'the end of the membership')
  await three.publish('lobby', 'not gone')
  await three.until('lobby', 'not gone')
  t.equal(stage.proxy.connections, 1)
  t.notOk((await three.statuses()).includes('waiting noHeartbeat'), 'the tab does not wait for a heartbeat')
})

test('missed messages go to the tab that asks for them', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const [one, two] = [await stage.open(), await stage.open()]
  await one.join('lobby')
  const { epoch = '', offset = 0 } = await one.publish('lobby', 0)
  for (const data of [1, [2], 3]) await one.publish('lobby', data)
  await two.join('lobby', { epoch, offset })
  await two.publish('lobby', 4)
  for (const tab of [one, two]) await tab.until('lobby', 4)
  t.strictSame(await two.got('lobby'), [1, [2], 3, 4])
  t.strictSame(await one.got('lobby'), [0, 1, [2], 3, 4])
  t.equal(await one.countMessages(), 4, 'beside the binary one')
})

test('a tab that leaves a room does not take it from the other one', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const [one, two] = [await stage.open(), await stage.open()]
  for (const tab of [one, two]) await tab.join('lobby')
  await one.leave('lobby')
  await two.publish('lobby', 'for two')
  await two.until('lobby', 'for two')
  t.strictSame(await one.got('lobby'), [])
  await two.leave('lobby')
  await until(async () => await audience(stage.service, 'lobby') === 0, 'the end of the membership')
  await one.join('lobby')
  await one.publish('lobby', 'back')
  await one.until('lobby', 'back')
  t.strictSame(await two.got('lobby'), ['for two'])
})

test('after a cut both tabs resume over one connection, without loss', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const { service, proxy } = stage
  const [one, two] = [await stage.open(), await stage.open()]
  for (const tab of [one, two]) for (const room of ['lobby', 'kitchen']) await tab.join(room)
  await one.publish('lobby', 1)
  for (const tab of [one, two]) await tab.until('lobby', 1)
  proxy.cut()
  for (const tab of [one, two]) await tab.untilStatus('waiting lost')
  for (const data of [2, 3]) await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { data } })
  const published = Promise.all([one, two].map(async (tab, i) => { await tab.publish('kitchen', i) }))
  proxy.heal()
  await published
  await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { data: 4 } })
  for (const tab of [one, two]) {
    await tab.until('lobby', 4)
    t.strictSame(await tab.got('lobby'), [1, 2, 3, 4])
    await until(async () => (await tab.got('kitchen')).length === 2, 'both messages')
    t.strictSame((await tab.got('kitchen')).sort(), [0, 1])
    t.notOk((await tab.statuses()).includes('waiting noHeartbeat'), 'the worker reports the cut')
  }
  t.equal(proxy.connections, 1)
})

test('a message with echo: false whose answer was lost stays hidden', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const { service, proxy } = stage
  const [one, two] = [await stage.open(), await stage.open()]
  for (const tab of [one, two]) await tab.join('lobby')
  proxy.swallowReplies()
  const published = one.publish('lobby', 'quiet', { echo: false })
  await one.untilStatus('waiting lost')
  proxy.heal()
  await published
  await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { data: 'end' } })
  for (const tab of [one, two]) await tab.until('lobby', 'end')
  t.strictSame(await one.got('lobby'), ['end'])
  t.strictSame(await two.got('lobby'), ['quiet', 'end'])
})

test('a new tab finds out that the connection is dead', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const one = await stage.open()
  await one.join('lobby')
  await one.publish('lobby', 1)
  stage.proxy.abandon()
  await call(stage.service, 'POST', '/v1/rooms/lobby/messages', { body: { data: 2 } })
  const two = await stage.open()
  await two.join('lobby')
  await two.publish('lobby', 3)
  for (const tab of [one, two]) await tab.until('lobby', 3)
  t.strictSame(await one.got('lobby'), [1, 2, 3])
  t.equal((await two.statuses())[0], 'waiting noHeartbeat', 'no welcome of a dead connection')
})

test('a refused token is the token of its tab alone', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const refused = makeToken({}, { key: 'another secret of the tests, thirty-two bytes' })
  const [first, second] = [makeToken({ n: 1 }), makeToken({ n: 2 })]
  stage.proxy.hold()
  const [one, two] = [await stage.open({ tokens: [refused, first] }), await stage.open({ tokens: [second] })]
  await until(() => stage.proxy.connections === 1, 'the connection')
  stage.proxy.heal()
  for (const tab of [one, two]) await tab.join('lobby')
  await two.publish('lobby', 'hi')
  await one.until('lobby', 'hi')
  t.ok((await one.statuses()).includes('waiting unauthorized'))
  t.notOk((await two.statuses()).includes('waiting unauthorized'))
  t.equal(stage.proxy.connections, 1)
})

test('a publish that is too large is refused to its tab alone', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const [one, two] = [await stage.open(), await stage.open()]
  for (const tab of [one, two]) await tab.join('lobby')
  const published = Promise.all(Array.from({ length: 20 }, async (_, i) => { await two.publish('lobby', i) }))
  await t.rejects(one.publish('lobby', 'x'.repeat(100_000)), /larger than the service takes/)
  await published
  await one.publish('lobby', 'end')
  for (const tab of [one, two]) {
    await tab.until('lobby', 'end')
    t.equal((await tab.got('lobby')).length, 21)
  }
  t.notOk((await two.statuses()).includes('waiting tooBig'))
})

test('a tab that is too far behind loses its connection', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const tab = await stage.open()
  await tab.join('lobby')
  const blocked = tab.page.evaluate(() => {
    const request = new XMLHttpRequest()
    request.open('GET', '/wait', false)
    request.send()
  })
  for (let i = 0; i < 100; i++) await call(stage.service, 'POST', '/v1/rooms/lobby/messages', { body: { data: 'x'.repeat(60_000) } })
  await fetch(`${address}release`)
  await blocked
  await tab.untilStatus('waiting slowConsumer')
  // The client reads them from the history.
  await until(async () => (await tab.got('lobby')).filter((text) => String(text).startsWith('xx')).length === 100, 'the missed messages')
  await tab.publish('lobby', 'end')
  await tab.until('lobby', 'end')
})

test('a graceful shutdown reaches every tab', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const [one, two] = [await stage.open(), await stage.open()]
  for (const tab of [one, two]) await tab.join('lobby')
  await stage.service.app.close()
  for (const tab of [one, two]) {
    await tab.untilStatus('waiting goingDown')
    t.ok(await tab.page.evaluate(() => window.fromWorker.some((frame) => frame.startsWith('{"type":"shutdown"'))))
  }
})

test('another user in another tab has another connection', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const [ada, bob] = [await stage.open(), await stage.open({ tokens: [makeToken({ sub: 'bob' })] })]
  for (const tab of [ada, bob]) await tab.join('lobby')
  t.equal(stage.proxy.connections, 2)
  t.strictSame(await Promise.all([ada, bob].map(async ({ page }) => await page.evaluate(() => window.client.user))), ['ada', 'bob'])
  await bob.publish('lobby', 'hi')
  await ada.until('lobby', 'hi')
})

test('the client in docs/tabs.md talks', async (t) => {
  const stage = await setStage(t)
  if (stage === undefined) return
  const document = await readFile(new URL('../../../docs/tabs.md', import.meta.url), 'utf8')
  const code = (/```js\n([^]*?)```/.exec(document)?.[1] ?? '')
    .replace("'@roomcast/client/tabs'", `'${address}client/tabs/index.js'`)
    .replace("new URL('@roomcast/client/tabs/worker', import.meta.url)", "'/tabs-worker.js?module'")
    .replace('https://realtime.example.com', stage.url)
    .replace(/token: async .*/, `token: '${makeToken()}',`)
  const { page, warnings } = await stage.open()
  const printed: string[] = []
  page.on('console', (message) => { printed.push(message.text()) })
  // A text, because the compiler rewrites imports.
  await page.evaluate(`import(${JSON.stringify(`data:text/javascript,${encodeURIComponent(code)}`)})`)
  await until(() => printed.includes('ada {text: hi}'), 'the message')
  t.strictSame(warnings, [], 'the worker is a module')
})

for (const [name, options, warnings] of [
  ['there is no SharedWorker', { without: 'SharedWorker' }, []],
  ['the worker does not start', { worker: '/none.js' }, ['Roomcast: the shared worker does not start; this tab has its own connection']],
  ['the worker does not answer', { worker: '/silent.js' }, []]
] as const) {
  test(`a tab has its own connection where ${name}`, async (t) => {
    const stage = await setStage(t)
    if (stage === undefined) return
    const [one, two] = [await stage.open(options), await stage.open(options)]
    for (const tab of [one, two]) await tab.join('lobby')
    t.equal(stage.proxy.connections, 2)
    t.strictSame(one.warnings, warnings)
    await one.publish('lobby', 'hi')
    for (const tab of [one, two]) await tab.until('lobby', 'hi')
  })
}
