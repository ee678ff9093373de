import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'
import { Random } from '../chaos/random.ts'
import { startBrowser } from '../support/browser.ts'
import { call, startService } from '../support/service.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { makeToken } from '../support/token.ts'
import { serveTabs, Tab } from './tabs-page.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 3)

/** Cuts the connection, or loses its answers, until some work is done. */
async function cutUntil (work: Promise<unknown>, proxy: TcpProxy, random: Random): Promise<void> {
  const state = { isOver: false }
  const over = (): void => { state.isOver = true }
  work.then(over, over)
  while (!state.isOver) {
    await sleep(random.between(100, 500))
    if (random.next() < 0.5) proxy.cut()
    else proxy.swallowReplies()
    await sleep(random.between(0, 60))
    proxy.heal()
  }
  await work
}

/** Publishes messages with equal and with different contents; returns the offsets of those that are not echoed. */
async function publishMany (tab: Tab, name: string, room: string, random: Random): Promise<Set<number>> {
  const quiet = new Set<number>()
  for (let n = 0; n < 24; n += 2) {
    await Promise.all([n, n + 1].map(async (n) => {
      const echo = random.next() < 0.5
      const { offset = 0 } = await tab.publish(room, random.next() < 0.5 ? 'equal' : `${name} ${n}`, { echo })
      if (!echo) quiet.add(offset)
    }))
    await sleep(random.between(0, 60))
  }
  return quiet
}

test('tabs that publish while their connection is cut get each message once, in order, and no echo', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const address = await serveTabs(t)
  const service = await startService(t)
  const proxy = await TcpProxy.start(t, service.port)
  const context = await browser.newContext()
  const options = { url: `http://127.0.0.1:${proxy.port}`, tokens: [makeToken()] }
  let reconnects = 0
  for (let round = 0; round < ROUNDS; round++) {
    const random = new Random(round)
    const room = `room-${round}`
    const tabs = await Promise.all([1, 2, 3].map(async () => await Tab.open(context, address, options)))
    for (const tab of tabs) await tab.join(room)
    const work = Promise.all(tabs.map(async (tab, i) => await publishMany(tab, `tab ${i}`, room, random)))
    await cutUntil(work, proxy, random)
    const quiet = await work
    await tabs[0]?.publish(room, 'end')
    const { body } = await call(service, 'GET', `/v1/rooms/${room}/messages?after=0`)
    const offsets = (body.messages as { offset: number }[]).map(({ offset }) => offset)
    for (const [i, tab] of tabs.entries()) {
      await tab.until(room, 'end')
      t.strictSame(await tab.offsets(room), offsets.filter((offset) => quiet[i]?.has(offset) !== true), `round ${round}, tab ${i}`)
      reconnects += (await tab.statuses()).filter((status) => status === 'connected').length - 1
    }
    for (const tab of tabs) await tab.close()
  }
  t.ok(reconnects >= ROUNDS, `${reconnects} reconnects`)
})
