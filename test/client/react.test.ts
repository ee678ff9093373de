import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import type { Page } from 'playwright-core'
import { type Test, test } from 'tap'
import type * as sdk from '../../client/index.ts'
import { RoomcastError } from '../../src/errors.ts'
import { findFreePort } from '../support/free-port.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { until } from '../support/until.ts'
import { startProcess } from '../support/service-process.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { aliasesOf, openPage, ROOT, untilLast, VERSIONS } from './react-page.ts'

async function audience (service: Service, room: string): Promise<number> {
  return (await call(service, 'GET', `/v1/rooms/${room}`)).body.audience
}

/** Tells the page where the service is. */
async function introduce (page: Page, url: string): Promise<void> {
  await page.evaluate(({ url, token }) => { Object.assign(window, { url, token }) }, { url, token: makeToken() })
}

/** How components are shown. */
interface ShowOptions {
  strict?: boolean
  history?: number
  limit?: number
  /** A token as it is, not a function that gets one. */
  token?: string
}

/** Shows components that use rooms, by their names; each name is one component. */
async function show (page: Page, members: Record<string, string | null>, options: ShowOptions = {}): Promise<void> {
  await page.evaluate(({ members, strict = false, token, ...options }) => {
    const { createElement: h, StrictMode, Fragment } = window.React
    const w = window as Window & { Member?: (props: { name: string, room: string | null, history?: number, limit?: number }) => null }
    w.Member ??= function Member ({ name, room, ...options }) {
      const state = window.hooks.useRoom(room, options)
      window.used = state
      window.renders[name] = (window.renders[name] ?? 0) + 1
      window.last[name] = {
        messages: state.messages.map(({ data, text }) => data ?? text),
        state: state.state,
        recovered: state.recovered,
        hasOlder: state.hasOlder,
        error: state.error?.code
      }
      return null
    }
    function Connection (): null {
      const { cause, ...connection } = window.hooks.useConnection()
      window.last.connection = { ...connection, client: undefined, cause: cause && 'code' in cause ? cause.code : undefined }
      return null
    }
    const children = Object.entries(members).map(([name, room]) => h(w.Member as never, { key: name, name, room, ...options } as never))
    // A new function each time, as most people write it.
    const provider = h(
      window.hooks.RoomcastProvider,
      { url: window.url, token: token ?? (async () => window.token) },
      h(Connection, { key: 'connection' }),
      ...children
    )
    window.reactRoot.render(h(strict ? StrictMode : Fragment, null, provider))
  }, { members, ...options })
}

/** Shows a component in a room, with the client that the page has made. */
async function showWithClient (page: Page, room: string | null): Promise<void> {
  await page.evaluate((room) => {
    const { createElement: h } = window.React
    const w = window as Window & { Visitor?: (props: { room: string | null }) => null }
    w.Visitor ??= function Visitor ({ room }) {
      const { messages, state, recovered } = window.hooks.useRoom(room, { history: 2 })
      window.last.a = { messages: messages.map(({ text }) => text), state, recovered }
      return null
    }
    window.reactRoot.render(h(window.hooks.RoomcastProvider, { client: window.given as sdk.Client }, h(w.Visitor, { room })))
  }, room)
}

for (const version of VERSIONS) {
  test(`React ${version}`, async (t) => {
    const page = await openPage(t, version)
    if (page === undefined) return
    const service = await startService(t, { MESSAGE_RATE: '0' })
    const post = async (room: string, text: string): Promise<void> => {
      await call(service, 'POST', `/v1/rooms/${room}/messages`, { body: { text } })
    }
    await introduce(page, service.url)
    t.afterEach(async () => {
      await introduce(page, service.url)
      await page.evaluate(() => {
        window.reactRoot.render(null)
        window.given?.close()
      })
      await until(() => service.app.roomcast.hub.connections.size === 0, 'the connection to be closed')
      await page.evaluate(() => { Object.assign(window, { renders: {}, last: {}, sockets: 0, closes: 0 }) })
    })

    await t.test('StrictMode opens one socket, and the room is joined once', async (t) => {
      await show(page, { a: 'strict' }, { strict: true })
      await untilLast(page, 'a', { state: 'joined', messages: [] })
      t.equal(await audience(service, 'strict'), 1)
      t.equal(await page.evaluate(() => window.sockets), 1)
      await post('strict', 'hi')
      await untilLast(page, 'a', { messages: ['hi'] })
      t.strictSame(await page.evaluate(async () => (await window.used.send({ n: 1 })).offset), 2)
      await untilLast(page, 'a', { messages: ['hi', { n: 1 }] })
    })

    await t.test('a token function that is another one with each render does not connect again', async (t) => {
      for (let i = 0; i < 5; i++) await show(page, { a: 'lobby' })
      await untilLast(page, 'a', { state: 'joined' })
      await show(page, { a: 'lobby' })
      t.equal(await page.evaluate(() => window.sockets), 1)
    })

    await t.test('components share a room, which is left with the last one', async (t) => {
      await show(page, { a: 'shared', b: 'shared' })
      await untilLast(page, 'a', { state: 'joined' })
      await untilLast(page, 'b', { state: 'joined' })
      t.equal(await audience(service, 'shared'), 1)
      await show(page, { b: 'shared' })
      await post('shared', 'still')
      await untilLast(page, 'b', { messages: ['still'] })
      await show(page, { c: 'another' })
      await until(async () => await audience(service, 'shared') === 0)
      await untilLast(page, 'c', { state: 'joined' })
      t.equal(await page.evaluate(() => window.sockets), 1)
    })

    await t.test('a room that is switched while it is joined shows nothing of the one before, and leaks no membership', async (t) => {
      for (let i = 0; i < 20; i++) await post(`switch-${i}`, String(i))
      for (let i = 0; i < 20; i++) await show(page, { a: `switch-${i}` }, { strict: true })
      await untilLast(page, 'a', { state: 'joined' })
      for (let i = 0; i < 20; i++) await post(`switch-${i}`, `live ${i}`)
      await untilLast(page, 'a', { messages: ['live 19'] })
      for (let i = 0; i < 19; i++) await until(async () => await audience(service, `switch-${i}`) === 0, `switch-${i} to be left`)
      t.equal(await audience(service, 'switch-19'), 1)
      await show(page, { a: null })
      await untilLast(page, 'a', { state: 'idle', messages: [] })
      await until(async () => await audience(service, 'switch-19') === 0)
    })

    await t.test('unmounting at any moment leaves nothing behind', async (t) => {
      for (let i = 0; i < 10; i++) {
        await show(page, { a: 'moment' }, { strict: i % 2 === 0 })
        await page.evaluate(async (ms) => {
          await new Promise((resolve) => { setTimeout(resolve, ms) })
          window.reactRoot.render(null)
        }, i * 3)
      }
      await until(() => service.app.roomcast.hub.connections.size === 0)
      t.equal(await audience(service, 'moment'), 0)
    })

    await t.test('a burst of messages is a few renders', async (t) => {
      await show(page, { a: 'burst' })
      await untilLast(page, 'a', { state: 'joined' })
      const before = await page.evaluate(() => window.renders.a as number)
      for (let i = 0; i < 10; i++) {
        const burst = Array.from({ length: 100 }, (_, n) => ({ room: 'burst', data: i * 100 + n }))
        await call(service, 'POST', '/v1/messages', { body: { messages: burst } })
      }
      await page.waitForFunction(() => (window.last.a as { messages: unknown[] }).messages.at(-1) === 999)
      const { messages } = await page.evaluate(() => window.last.a) as { messages: unknown[] }
      t.strictSame(messages, Array.from({ length: 200 }, (_, n) => 800 + n), 'the latest 200 are kept')
      const renders = await page.evaluate((before) => window.renders.a as number - before, before)
      t.ok(renders < 200, `${renders} renders for 1,000 messages`)
    })

    await t.test('history comes before what is live, without anything twice', async () => {
      for (let i = 1; i <= 5; i++) await post('past', String(i))
      await show(page, { a: 'past' }, { history: 3 })
      await untilLast(page, 'a', { messages: ['3', '4', '5'] })
      await post('past', '6')
      await untilLast(page, 'a', { messages: ['3', '4', '5', '6'], recovered: undefined })
      await show(page, { a: 'past', b: 'past' }, { history: 3 })
      await untilLast(page, 'b', { messages: ['4', '5', '6'] })
    })

    await t.test('a component that keeps no messages shows none', async () => {
      await page.evaluate(() => {
        const { createElement: h } = window.React
        function Listener ({ name, limit }: { name: string, limit: number }): null {
          const { state, messages } = window.hooks.useRoom('unkept', { limit })
          window.last[name] = { state, count: messages.length }
          return null
        }
        const listeners = [['none', 0], ['all', 200]].map(([name, limit]) => h(Listener as never, { key: name, name, limit } as never))
        window.reactRoot.render(h(window.hooks.RoomcastProvider, { url: window.url, token: window.token }, ...listeners))
      })
      await untilLast(page, 'all', { state: 'joined' })
      for (let i = 1; i <= 3; i++) await post('unkept', String(i))
      await untilLast(page, 'all', { count: 3 })
      await untilLast(page, 'none', { state: 'joined', count: 0 })
    })

    await t.test('a room that is refused says why', async () => {
      await page.evaluate((token) => { window.token = token }, makeToken({ rooms: { open: ['join'] } }))
      await show(page, { a: 'closed', b: 'open' })
      await untilLast(page, 'a', { state: 'refused', error: 'forbidden' })
      await untilLast(page, 'b', { state: 'joined', error: undefined })
    })

    await t.test('a connection that was lost is resumed; where history is gone, it is loaded anew', async (t) => {
      const network = await TcpProxy.start(t, service.port)
      await introduce(page, `http://127.0.0.1:${network.port}`)
      await show(page, { a: 'lost' }, { history: 10 })
      await untilLast(page, 'a', { state: 'joined' })
      await post('lost', '1')
      await untilLast(page, 'a', { messages: ['1'], recovered: undefined })
      network.cut()
      await untilLast(page, 'a', { state: 'joining' })
      await post('lost', '2')
      network.heal()
      await untilLast(page, 'a', { messages: ['1', '2'], state: 'joined', recovered: true })
      network.cut()
      await untilLast(page, 'a', { state: 'joining' })
      await call(service, 'POST', '/v1/rooms/lost/messages', { body: { text: 'never seen' } })
      await call(service, 'DELETE', '/v1/rooms/lost/messages', { token: makeToken({ rooms: { '**': ['*'] } }) })
      await post('lost', '4')
      network.heal()
      await untilLast(page, 'a', { messages: ['4'], state: 'joined', recovered: true })
    })

    await t.test('what a component sends in its first effect waits for the connection', async (t) => {
      await page.evaluate(() => {
        const { createElement: h, StrictMode, useEffect } = window.React
        function Greeter (): null {
          const { send, messages } = window.hooks.useRoom<string>('greeted')
          useEffect(() => {
            send('hello', { key: 'once' }).catch((error) => { window.last.failed = String(error) })
          }, [send])
          window.last.greeter = { messages: messages.map(({ data }) => data) }
          return null
        }
        window.reactRoot.render(h(StrictMode, null, h(window.hooks.RoomcastProvider, { url: window.url, token: window.token }, h(Greeter))))
      })
      await untilLast(page, 'greeter', { messages: ['hello'] })
      t.equal(await page.evaluate(() => window.last.failed), undefined)
    })

    await t.test('another url is another connection, with the token that came with it', async (t) => {
      const other = await startService(t, { JWT_SECRET: 'the secret of another service, another one' })
      const theirs = makeToken({}, { key: 'the secret of another service, another one' })
      await show(page, { a: 'moving' }, { token: makeToken() })
      await untilLast(page, 'a', { state: 'joined' })
      await introduce(page, other.url)
      await show(page, { a: 'moving' }, { token: theirs })
      await until(async () => await audience(service, 'moving') === 0, 'the first service to be left')
      await until(() => other.app.roomcast.hub.room('moving')?.size === 1, 'the other one to be joined')
      await untilLast(page, 'connection', { state: 'connected' })
      t.notOk(other.log.some((line) => line.includes('"unauthorized"')), 'no other token was tried')
      await show(page, {})
    })

    await t.test('a token that was refused is replaced by the next one that is given', async () => {
      await show(page, { a: 'renewed' }, { token: 'bad' })
      await untilLast(page, 'connection', { reason: 'unauthorized' })
      await show(page, { a: 'renewed' }, { token: makeToken() })
      await untilLast(page, 'a', { state: 'joined' })
    })

    await t.test('a component that is mounted again begins anew', async () => {
      await show(page, { a: 'again' })
      await untilLast(page, 'a', { state: 'joined' })
      await post('again', '1')
      await untilLast(page, 'a', { messages: ['1'] })
      await show(page, { b: 'elsewhere' })
      await until(async () => await audience(service, 'again') === 0, 'the room to be left')
      await show(page, { a: 'again' })
      await untilLast(page, 'a', { messages: [], state: 'joined' })
    })

    await t.test('history is as much as was asked for, though it is more than one answer', async () => {
      const large = 'x'.repeat(60 * 1024)
      for (let i = 1; i <= 12; i++) await post('large', `${i} ${large}`)
      await show(page, { a: 'large' }, { history: 11 })
      await untilLast(page, 'a', { messages: Array.from({ length: 11 }, (_, i) => `${i + 2} ${large}`) })
    })

    await t.test('history is asked for again when it cannot be read at first, and until then messages are missing', async (t) => {
      const network = await TcpProxy.start(t, service.port)
      await introduce(page, `http://127.0.0.1:${network.port}`)
      const { broker } = service.app.roomcast
      const read = broker.history.bind(broker)
      let refused = 0
      let isAway = true
      broker.history = async (room, query) => {
        // A resume reads history as well, from `after` on.
        if (!isAway || query.before === undefined) return await read(room, query)
        refused++
        throw new RoomcastError('unavailable', 'away', 10)
      }
      t.teardown(() => { broker.history = read })
      await post('away', '1')
      await show(page, { a: 'away' }, { history: 10 })
      await untilLast(page, 'a', { messages: [], state: 'joined', recovered: undefined })
      await until(() => refused > 1, 'it to be asked for again')
      isAway = false
      await untilLast(page, 'a', { messages: ['1'], error: undefined, recovered: undefined })

      isAway = true
      network.cut()
      await untilLast(page, 'a', { state: 'joining' })
      await post('away', '2')
      await call(service, 'DELETE', '/v1/rooms/away/messages', { token: makeToken({ rooms: { '**': ['*'] } }) })
      await post('away', '3')
      network.heal()
      await untilLast(page, 'a', { messages: [], state: 'joined', recovered: false })
      network.cut()
      await untilLast(page, 'a', { state: 'joining' })
      await post('away', '4')
      network.heal()
      await untilLast(page, 'a', { messages: ['4'], state: 'joined', recovered: false })
      isAway = false
      await untilLast(page, 'a', { messages: ['3', '4'], recovered: true })
    })

    await t.test('without history, what was missed stays missing', async (t) => {
      const network = await TcpProxy.start(t, service.port)
      await introduce(page, `http://127.0.0.1:${network.port}`)
      await show(page, { a: 'missing' })
      await untilLast(page, 'a', { state: 'joined' })
      network.cut()
      await untilLast(page, 'a', { state: 'joining' })
      await post('missing', '1')
      await call(service, 'DELETE', '/v1/rooms/missing/messages', { token: makeToken({ rooms: { '**': ['*'] } }) })
      network.heal()
      await untilLast(page, 'a', { state: 'joined', recovered: false })
      network.cut()
      await untilLast(page, 'a', { state: 'joining' })
      await post('missing', '2')
      network.heal()
      await untilLast(page, 'a', { messages: ['2'], state: 'joined', recovered: false })
    })

    await t.test('a service that was started again has forgotten what was there, and what there is now is loaded', async (t) => {
      const environment = { JWT_SECRET: SECRET, PORT: String(await findFreePort()) }
      const first = await startProcess(t, environment)
      const say = async (text: string): Promise<void> => {
        await call(first as unknown as Service, 'POST', '/v1/rooms/restarted/messages', { body: { text } })
      }
      await introduce(page, first.url)
      await show(page, { a: 'restarted' }, { history: 10 })
      await untilLast(page, 'a', { state: 'joined' })
      await say('old')
      await untilLast(page, 'a', { messages: ['old'] })
      first.child.kill('SIGKILL')
      await first.exited
      await untilLast(page, 'a', { messages: ['old'], state: 'joining' })
      await startProcess(t, environment)
      await say('new')
      await untilLast(page, 'a', { messages: ['new'], state: 'joined', recovered: true })
    })

    await t.test('a room that the application has joined itself is not left with the last component', async (t) => {
      await page.evaluate(async () => {
        window.given = window.sdk.connect({ url: window.url, token: window.token })
        await window.given?.room('kept').join()
      })
      await showWithClient(page, 'kept')
      await untilLast(page, 'a', { state: 'joined', messages: [] })
      await showWithClient(page, 'other')
      await untilLast(page, 'a', { state: 'joined', messages: [] })
      await showWithClient(page, null)
      await until(async () => await audience(service, 'other') === 0, 'the other room to be left')
      t.equal(await audience(service, 'kept'), 1)
    })

    await t.test('a membership that the service ended and that begins again begins anew', async (t) => {
      await page.evaluate(() => { window.given = window.sdk.connect({ url: window.url, token: window.token }) })
      await showWithClient(page, 'anew')
      await untilLast(page, 'a', { state: 'joined' })
      await post('anew', '1')
      await post('anew', '2')
      await untilLast(page, 'a', { messages: ['1', '2'] })
      await page.evaluate(async () => { await window.given?.room('anew').leave() })
      t.equal(await audience(service, 'anew'), 1, 'the component is still a member')
      for (const connection of service.app.roomcast.hub.connections) connection.send({ type: 'left', room: 'anew', reason: 'removed' })
      await untilLast(page, 'a', { state: 'refused' })
      await post('anew', '3')
      await page.evaluate(async () => { await window.given?.room('anew').join() })
      await untilLast(page, 'a', { messages: ['2', '3'], state: 'joined', recovered: undefined })
    })

    await t.test('invalid options close the connection with a cause, and the page stays', async (t) => {
      await introduce(page, 'http://[invalid')
      await show(page, { a: 'lobby' })
      await untilLast(page, 'connection', { state: 'closed', cause: 'invalid_request' })
      await untilLast(page, 'a', { state: 'idle', messages: [] })
      t.equal(await page.evaluate(async () => await window.used.send('hi').catch(({ code }) => code)), 'not_joined')
      t.equal(await page.evaluate(async () => await window.used.loadOlder()), false)
      await introduce(page, service.url)
      await show(page, { a: 'lobby' })
      await untilLast(page, 'a', { state: 'joined' })
    })

    await t.test('earlier messages are loaded page by page, beyond the limit', async (t) => {
      for (let i = 1; i <= 5; i++) await post('earlier', String(i))
      await show(page, { a: 'earlier' }, { history: 2, limit: 2 })
      await untilLast(page, 'a', { messages: ['4', '5'], hasOlder: true })
      const load = async (): Promise<boolean> => await page.evaluate(async () => await window.used.loadOlder())
      t.equal(await load(), true)
      await untilLast(page, 'a', { messages: ['2', '3', '4', '5'], hasOlder: true })
      t.equal(await load(), false)
      await untilLast(page, 'a', { messages: ['1', '2', '3', '4', '5'], hasOlder: false })
    })

    await t.test('a client of somebody else is used and not closed', async (t) => {
      await page.evaluate(async () => {
        const { createElement: h } = window.React
        const client = window.sdk.connect({ url: window.url, token: window.token })
        function Member (): null {
          window.last.room = window.hooks.useRoom('given').state
          window.last.connection = window.hooks.useConnection().state
          return null
        }
        window.reactRoot.render(h(window.hooks.RoomcastProvider, { client }, h(Member)))
        while (window.last.room !== 'joined') await new Promise((resolve) => { setTimeout(resolve, 5) })
        window.reactRoot.render(null)
        await new Promise((resolve) => { setTimeout(resolve, 50) })
        window.last.status = client.status.state
        client.close()
      })
      t.strictSame(await page.evaluate(() => [window.last.connection, window.last.status]), ['connected', 'connected'])
    })
  })
}

/** The chat of docs/react.md in one file, with React 18 or 19; `render` shows it. */
async function bundleDocumented (version: string): Promise<string> {
  const [, chat = ''] = /^```jsx\n([^]*?)\n```$/m.exec(readFileSync(join(ROOT, 'docs/react.md'), 'utf8')) ?? []
  const { outputFiles } = await build({
    stdin: {
      contents: `${chat}
        import { createRoot } from 'react-dom/client'
        window.render = (url, token) => { createRoot(document.body).render(<App url={url} getToken={async () => token} />) }`,
      resolveDir: ROOT,
      loader: 'jsx'
    },
    bundle: true,
    write: false,
    jsx: 'automatic',
    alias: { ...aliasesOf(version), '@roomcast/client/react': join(ROOT, 'dist/client/react/index.js') }
  })
  return outputFiles?.[0]?.text ?? ''
}

for (const version of VERSIONS) {
  test(`the chat of docs/react.md works with React ${version}`, async (t) => {
    const page = await openPage(t, version)
    if (page === undefined) return
    const service = await startService(t)
    await page.addScriptTag({ content: await bundleDocumented(version) })
    await page.evaluate(({ url, token }) => {
      (window as Window & { render?: (url: string, token: string) => void }).render?.(url, token)
    }, { url: service.url, token: makeToken() })
    await page.getByRole('heading', { name: 'lobby: joined' }).waitFor()
    await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'from a backend' } })
    await page.getByText('ada: from a backend').waitFor()
    await page.getByLabel('Message').fill('from the page')
    await page.getByRole('button', { name: 'Send' }).click()
    await page.getByText('ada: from the page').waitFor()
    await page.getByRole('button', { name: 'kitchen' }).click()
    await page.getByRole('heading', { name: 'kitchen: joined' }).waitFor()
    t.equal(await page.locator('li').count(), 0)
    await page.getByRole('button', { name: 'lobby' }).click()
    await page.getByText('ada: from the page').waitFor()
    t.equal(await page.locator('li').count(), 2)
  })
}

/** What a server with a version of React makes of a page with all hooks, as a program of its own. */
async function renderOnServer (t: Test, version: string): Promise<string> {
  const outfile = join(t.testdir({}), 'server.cjs')
  await build({
    stdin: {
      contents: `
        import { createElement as h } from 'react'
        import { renderToString } from 'react-dom/server'
        import { RoomcastProvider, useConnection, useRoom, useWebSocket } from './dist/client/react/index.js'
        globalThis.WebSocket = globalThis.fetch = function () { throw new Error('something connects') }
        function Page () {
          const { messages, state, recovered, error } = useRoom('lobby', { history: 10 })
          const { client, ...connection } = useConnection()
          const { send, ...socket } = useWebSocket('ws://127.0.0.1:1/')
          return JSON.stringify({ room: { messages, state, recovered, error }, connection, client: typeof client, socket })
        }
        const token = () => { throw new Error('a token is asked for') }
        console.log(renderToString(h(RoomcastProvider, { url: 'http://127.0.0.1:1', token }, h(Page))).replaceAll('&quot;', '"'))
      `,
      resolveDir: ROOT
    },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile,
    alias: aliasesOf(version)
  })
  // It ends by itself: no timer and no socket keeps it.
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [outfile])
  return stdout + stderr
}

for (const version of VERSIONS) {
  test(`on a server with React ${version} nothing connects, and there is something to render`, async (t) => {
    t.strictSame(JSON.parse(await renderOnServer(t, version)), {
      room: { messages: [], state: 'idle' },
      connection: { state: 'connecting' },
      client: 'undefined',
      socket: { messages: [], isConnected: false }
    })
  })
}

test('frameworks are told that the hooks are for browsers', (t) => {
  for (const file of ['index', 'provider', 'use-connection', 'use-room', 'use-websocket']) {
    t.match(readFileSync(join(ROOT, `dist/client/react/${file}.js`), 'utf8'), /^'use client'/, file)
  }
  t.end()
})
