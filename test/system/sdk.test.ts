import type { Page } from 'playwright-core'
import { type Test, test } from 'tap'
import type * as roomcast from '../../client/index.ts'
import type { Client, Room, Status } from '../../client/index.ts'
import { openSdk, serveSdk, startBrowser } from '../support/browser.ts'
import { findRedis } from '../support/debian.ts'
import { findFreePort } from '../support/free-port.ts'
import { call, type Service } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { until } from '../support/until.ts'
import { IDLE_SECONDS, PRODUCTS, type Proxy, startProxy } from '../support/proxy.ts'
import { RedisServer } from '../support/redis-server.ts'
import { type ServiceProcess, startProcess } from '../support/service-process.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

/** What is in the page. */
declare global {
  interface Window {
    roomcast: typeof roomcast
    client: Client
    room: Room
    /** Payloads of the messages it got, and what else happened, in order. */
    seen: unknown[]
    events: string[]
    statuses: Status[]
  }
}

/** Has a page connect and join the lobby. */
async function enter (page: Page, url: string, user: string, transports?: string[]): Promise<void> {
  await page.evaluate(async ({ url, token, transports }) => {
    const options = { url, token: () => token, ...(transports !== undefined && { transports: transports as ('websocket' | 'events')[] }) }
    const client = window.client = window.roomcast.connect(options)
    window.statuses = []
    client.on('status', (status) => { window.statuses.push(status) })
    const room = window.room = client.room('lobby')
    window.seen = []
    window.events = []
    room.on('message', ({ data, text }) => { window.seen.push(data ?? text) })
    room.on('joined', ({ recovered }) => { window.events.push(`joined ${String(recovered)}`) })
    room.on('reset', ({ reason }) => { window.events.push(`reset ${reason}`) })
    await room.join()
  }, { url, token: makeToken({ sub: user }), transports })
}

async function publish (page: Page, data: unknown): Promise<void> {
  await page.evaluate(async (data) => { await window.room.publish(data) }, data)
}

const seen = async (page: Page): Promise<unknown[]> => await page.evaluate(() => window.seen)
const statusOf = async (page: Page): Promise<Status> => await page.evaluate(() => window.client.status)

async function untilStatus (page: Page, wanted: Partial<Status>): Promise<void> {
  await page.waitForFunction(
    (wanted) => Object.entries(wanted).every(([key, value]) => window.client.status[key as keyof Status] === value),
    wanted
  )
}

async function untilSeen (page: Page, count: number): Promise<void> {
  await page.waitForFunction((count) => window.seen.length >= count, count).catch(async () => {
    throw new Error(`saw ${JSON.stringify(await seen(page))} and not ${count}`)
  })
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

for (const transport of ['websocket', 'events']) {
  test(`two tabs chat over ${transport}, with pages served from elsewhere and nothing but the package's own files`, async (t) => {
    const browser = await startBrowser(t)
    if (browser === undefined) return
    const service = await startProcess(t)
    const site = await serveSdk(t)
    const [ada, bob] = await Promise.all([openSdk(browser, site), openSdk(browser, site)])
    await Promise.all([enter(ada, service.url, 'ada', [transport]), enter(bob, service.url, 'bob', [transport])])
    t.strictSame(await statusOf(ada), { state: 'connected', transport })
    await publish(ada, 'hi bob')
    await untilSeen(bob, 1)
    await publish(bob, { text: 'hi ada' })
    await untilSeen(ada, 2)
    t.strictSame(await seen(ada), ['hi bob', { text: 'hi ada' }])
    t.strictSame(await seen(bob), await seen(ada))
    await ada.evaluate(() => { window.client.close() })
    await until(async () => (await call(service as unknown as Service, 'GET', '/v1/rooms/lobby')).body.audience === 1)
  })

  test(`the service is restarted under two tabs on ${transport}, and nothing is lost`, async (t) => {
    const browser = await startBrowser(t)
    const program = findRedis(t)
    if (browser === undefined || program === undefined) return
    const redis = await RedisServer.start(t, program)
    const environment = {
      JWT_SECRET: SECRET,
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      PORT: String(await findFreePort()),
      DRAIN_WINDOW_MS: '200'
    }
    let service = await startProcess(t, environment)
    const site = await serveSdk(t)
    const [ada, bob] = await Promise.all([openSdk(browser, site), openSdk(browser, site)])
    await Promise.all([enter(ada, service.url, 'ada', [transport]), enter(bob, service.url, 'bob', [transport])])
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      // A message every few ms, all through it.
      const publishing = ada.evaluate(async () => {
        const publishes = []
        for (let i = 0; i < 200; i++) {
          publishes.push(window.room.publish(i))
          await new Promise((resolve) => { setTimeout(resolve, 10) })
        }
        return (await Promise.all(publishes)).map(({ offset }) => offset)
      })
      await untilSeen(bob, 20)
      service.child.kill(signal)
      await service.exited
      service = await startProcess(t, environment)
      const offsets = await publishing as number[]
      t.strictSame(offsets, numbers(200).map((i) => (offsets[0] as number) + i), `each is one message, in order, through a ${signal}`)
      await untilSeen(bob, 200)
      await untilSeen(ada, 200)
      for (const page of [ada, bob]) {
        t.strictSame(await seen(page), numbers(200))
        t.strictSame(
          await page.evaluate(() => window.events.filter((event) => event !== 'joined undefined' && event !== 'joined true')),
          []
        )
        await page.evaluate(() => { window.seen = [] })
      }
    }
  })
}

for (const product of PRODUCTS) {
  test(`behind ${product.name}`, async (t) => {
    const browser = await startBrowser(t)
    const program = product.find(t)
    if (browser === undefined || program === undefined) return
    const site = await serveSdk(t)
    const start = async (t: Test, options: { upgrades?: boolean } = {}): Promise<{ instance: ServiceProcess, proxy: Proxy }> => {
      const instance = await startProcess(t, { JWT_SECRET: SECRET, TRUST_PROXY: '1', HEARTBEAT_SECONDS: '1' })
      return { instance, proxy: await startProxy(t, product, program, [instance.port, instance.port], options) }
    }

    await t.test('that lets upgrades through, it is a WebSocket, and one that is idle outlives the timeout of the proxy', async (t) => {
      const { proxy } = await start(t)
      const page = await openSdk(browser, site)
      await enter(page, proxy.url, 'ada')
      t.strictSame(await statusOf(page), { state: 'connected', transport: 'websocket' })
      await page.waitForTimeout(IDLE_SECONDS * 2_000)
      t.strictSame(await page.evaluate(() => window.statuses), [{ state: 'connected', transport: 'websocket' }])
      await publish(page, 'still here')
      await untilSeen(page, 1)
    })

    await t.test('that drops them, it is an event stream, which is idle as long; ' +
      'and a WebSocket again when the proxy is mended', async (t) => {
      const { instance, proxy } = await start(t, { upgrades: false })
      const [ada, bob] = await Promise.all([openSdk(browser, site), openSdk(browser, site)])
      await Promise.all([enter(ada, proxy.url, 'ada'), enter(bob, proxy.url, 'bob')])
      t.strictSame(await statusOf(ada), { state: 'connected', transport: 'events' })
      await ada.evaluate(() => { window.statuses = [] })
      await publish(bob, 'over POST')
      await untilSeen(ada, 1)
      await ada.waitForTimeout(IDLE_SECONDS * 2_000)
      t.strictSame(await ada.evaluate(() => window.statuses), [], 'it never was away')

      await proxy.stop()
      await publishDirectly(instance, 'missed')
      await startProxy(t, product, program, [instance.port, instance.port], { port: proxy.port })
      await untilStatus(ada, { state: 'connected', transport: 'websocket' })
      await untilSeen(ada, 2)
      await publish(ada, 'by frame')
      await untilSeen(ada, 3)
      t.strictSame(await seen(ada), ['over POST', 'missed', 'by frame'])
      t.strictSame(await ada.evaluate(() => window.events.filter((event) => !event.startsWith('joined'))), [])
    })
  })
}

async function publishDirectly (instance: ServiceProcess, text: string): Promise<void> {
  await call(instance as unknown as Service, 'POST', '/v1/rooms/lobby/messages', { body: { text } })
}

test('a tab that was offline comes back at once with everything it missed, and what was published meanwhile is sent', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const service = await startProcess(t)
  const network = await TcpProxy.start(t, service.port)
  const context = await browser.newContext()
  const page = await openSdk(context, await serveSdk(t))
  await page.evaluate(() => { Math.random = () => 1 }) // Waits are as long as they can be.
  await enter(page, `http://127.0.0.1:${network.port}`, 'ada')
  // Chromium tells a page that it is offline, and keeps its sockets.
  network.cut()
  await context.setOffline(true)
  await page.evaluate(() => { void window.room.publish('made offline') })
  await publishDirectly(service, 'missed')
  await page.waitForFunction(() => window.statuses.filter(({ state }) => state === 'waiting').length === 3)
  network.heal()
  await context.setOffline(false)
  await untilStatus(page, { state: 'connected' })
  t.ok(
    await page.evaluate(() => Date.now() < (window.statuses.findLast(({ state }) => state === 'waiting')?.retryAt ?? 0)),
    'before its next attempt was due'
  )
  await untilSeen(page, 2)
  t.strictSame(await seen(page), ['missed', 'made offline'])
})

test('when the network has changed, a connection that is dead without a word is noticed', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const service = await startProcess(t)
  const network = await TcpProxy.start(t, service.port)
  const context = await browser.newContext()
  const page = await openSdk(context, await serveSdk(t))
  await enter(page, `http://127.0.0.1:${network.port}`, 'ada')
  network.hold()
  await publishDirectly(service, 'missed')
  await context.setOffline(true)
  await context.setOffline(false)
  await page.waitForFunction(() => window.statuses.some(({ reason, code }) => reason === 'noHeartbeat' && code === 4012))
  network.cut()
  network.heal()
  await untilStatus(page, { state: 'connected' })
  await untilSeen(page, 1)
  t.strictSame(await seen(page), ['missed'])
})
