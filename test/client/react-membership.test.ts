import type { Page } from 'playwright-core'
import { type Test, test } from 'tap'
import type * as sdk from '../../client/index.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { openPage, untilLast, VERSIONS } from './react-page.ts'

async function audience (service: Service, room: string): Promise<number> {
  return (await call(service, 'GET', `/v1/rooms/${room}`)).body.audience
}

/** Makes the client of the page, `given`. */
async function connect (page: Page, service: Service): Promise<void> {
  await page.evaluate(({ url, token }) => { window.given = window.sdk.connect({ url, token }) }, { url: service.url, token: makeToken() })
}

/** Shows providers of the client side by side; each has one component, in a room, under the provider's name. */
async function show (page: Page, providers: Record<string, string | null>): Promise<void> {
  await page.evaluate((providers) => {
    const { createElement: h } = window.React
    const w = window as Window & { Member?: (props: { name: string, room: string | null }) => null }
    w.Member ??= function Member ({ name, room }) {
      const { state, messages, send } = window.used = window.hooks.useRoom(room)
      window.last[name] = { state, count: messages.length, send: typeof send }
      return null
    }
    const client = window.given as sdk.Client
    window.reactRoot.render(Object.entries(providers).map(([name, room]) => (
      h(window.hooks.RoomcastProvider, { key: name, client }, h(w.Member as never, { name, room } as never))
    )))
  }, providers)
}

/** Holds the answers to publishes until the test lets them go. */
function holdPublishes (t: Test, service: Service): { count: number, release: () => void } {
  const { broker } = service.app.roomcast
  const publish = broker.publish.bind(broker)
  const held = { count: 0, release: (): void => {} }
  const gate = new Promise<void>((resolve) => { held.release = resolve })
  broker.publish = async (publication) => {
    const published = await publish(publication)
    held.count++
    await gate
    return published
  }
  t.teardown(() => { broker.publish = publish })
  return held
}

for (const version of VERSIONS) {
  test(`React ${version}`, async (t) => {
    const page = await openPage(t, version)
    if (page === undefined) return
    const service = await startService(t)
    t.beforeEach(async () => { await connect(page, service) })
    t.afterEach(async () => {
      await page.evaluate(() => {
        window.reactRoot.render(null)
        window.given?.close()
        window.last = {}
      })
    })

    await t.test('providers that share a client share the membership', async (t) => {
      await show(page, { one: 'shared', other: 'shared' })
      await untilLast(page, 'one', { state: 'joined' })
      await untilLast(page, 'other', { state: 'joined' })
      await show(page, { other: 'shared', third: 'next' })
      await untilLast(page, 'third', { state: 'joined' }) // A leave would have come before this join.
      t.equal(await audience(service, 'shared'), 1)
      await untilLast(page, 'other', { state: 'joined' })
      await show(page, {})
      await until(async () => await audience(service, 'shared') === 0, 'the room to be left with its last component')
    })

    await t.test('a room that the application joins after a component is left by the application alone', async (t) => {
      await show(page, { one: 'owned' })
      await untilLast(page, 'one', { state: 'joined' })
      await page.evaluate(async () => { await window.given?.room('owned').join() })
      await show(page, { one: 'next' })
      await untilLast(page, 'one', { state: 'joined' })
      t.equal(await audience(service, 'owned'), 1)
      await page.evaluate(async () => { await window.given?.room('owned').leave() })
      await until(async () => await audience(service, 'owned') === 0)
    })

    await t.test('the application leaves a room, and its component stays', async (t) => {
      await page.evaluate(async () => { await window.given?.room('stays').join() })
      await show(page, { one: 'stays' })
      await untilLast(page, 'one', { state: 'joined' })
      await page.evaluate(async () => {
        await window.given?.room('stays').leave()
        await window.given?.room('next').join()
      })
      t.equal(await audience(service, 'stays'), 1)
      await call(service, 'POST', '/v1/rooms/stays/messages', { body: { text: 'hi' } })
      await untilLast(page, 'one', { state: 'joined', count: 1 })
    })

    await t.test('a message that was sent before a switch to another room is answered, and then the room is left', async (t) => {
      await show(page, { one: 'before' })
      await untilLast(page, 'one', { state: 'joined' })
      const held = holdPublishes(t, service)
      await page.evaluate(() => {
        window.used.send('hi').then(({ room }) => { window.last.sent = { room } }, ({ code }) => { window.last.sent = { code } })
      })
      await until(() => held.count === 1)
      await show(page, { one: 'after' })
      await untilLast(page, 'one', { state: 'joined', count: 0 })
      t.equal(await audience(service, 'before'), 1, 'a member until the answer')
      held.release()
      await untilLast(page, 'sent', { room: 'before' })
      await until(async () => await audience(service, 'before') === 0)
    })
  })
}
