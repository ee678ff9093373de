import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type * as ReactPackage from 'react'
import { createElement } from 'react'
import type { Root } from 'react-dom/client'
import { renderToString } from 'react-dom/server'
import type { Page } from 'playwright-core'
import { type Test, test } from 'tap'
import type { WebSocket } from 'ws'
import { WebSocketServer } from 'ws'
import type * as sdk from '../../client/index.ts'
import type * as hooks from '../../client/react/index.ts'
import { RoomcastProvider, useConnection, useRoom, useWebSocket } from '../../client/react/index.ts'
import { startBrowser } from '../browser.ts'
import { call, makeToken, type Service, startService, until } from '../helper.ts'
import { TcpProxy } from '../tcp-proxy.ts'

/** What is in the page. */
declare global {
  interface Window {
    React: typeof ReactPackage
    hooks: typeof hooks
    sdk: typeof sdk
    reactRoot: Root
    /** How often components were rendered, by name. */
    renders: Record<string, number>
    /** What a hook returned last, by the component's name. */
    last: Record<string, unknown>
    used: hooks.UseRoom<unknown>
    socket: hooks.UseWebSocket
    sockets: number
    closes: number
    token: string
    url: string
  }
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** React, the hooks and the SDK in one file, with React 18 or 19. */
async function bundle (version: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import * as React from 'react'
        import { createRoot } from 'react-dom/client'
        import * as hooks from './dist/client/react/index.js'
        import * as sdk from './dist/client/index.js'
        const OpenedSocket = window.WebSocket
        Object.assign(window, { React, hooks, sdk, reactRoot: createRoot(document.getElementById('root')), renders: {}, last: {}, sockets: 0, closes: 0 })
        window.WebSocket = class extends OpenedSocket { constructor (...args) { super(...args); window.sockets++; this.addEventListener('close', () => { window.closes++ }) } }
      `,
      resolveDir: ROOT
    },
    bundle: true,
    write: false,
    format: 'esm',
    define: { 'process.env.NODE_ENV': '"development"' }, // StrictMode does nothing in production.
    alias: version === '18' ? { react: 'react-18', 'react-dom': 'react-dom-18' } : {}
  })
  return outputFiles?.[0]?.text ?? ''
}

/** Opens a page with everything in it. */
async function openPage (t: Test, version: string): Promise<Page | undefined> {
  const browser = await startBrowser(t)
  if (browser === undefined) return undefined
  const script = await bundle(version)
  const server = createServer((request, response) => {
    if (request.url === '/bundle.js') response.setHeader('content-type', 'text/javascript').end(script)
    else response.setHeader('content-type', 'text/html').end('<!doctype html><div id="root"></div><script type="module" src="/bundle.js"></script>')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  const page = await browser.newPage()
  page.on('pageerror', (error) => { t.error(error, 'the page throws nothing') })
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  await page.waitForFunction('window.reactRoot !== undefined')
  t.equal((await page.evaluate(() => window.React.version)).split('.')[0], version)
  return page
}

async function audience (service: Service, room: string): Promise<number> {
  return (await call(service, 'GET', `/v1/rooms/${room}`)).body.audience
}

/** Tells the page where the service is. */
async function introduce (page: Page, url: string): Promise<void> {
  await page.evaluate(({ url, token }) => { Object.assign(window, { url, token }) }, { url, token: makeToken() })
}

/** Shows components that use rooms, by their names; each name is one component. */
async function show (page: Page, members: Record<string, string | null>, options: { strict?: boolean, history?: number } = {}): Promise<void> {
  await page.evaluate(({ members, strict, history }) => {
    const { createElement: h, StrictMode, Fragment } = window.React
    const w = window as Window & { Member?: (props: { name: string, room: string | null }) => null, token: string }
    w.Member ??= function Member ({ name, room }) {
      const state = window.hooks.useRoom(room, { history })
      window.used = state
      window.renders[name] = (window.renders[name] ?? 0) + 1
      window.last[name] = { messages: state.messages.map(({ data, text }) => data ?? text), state: state.state, recovered: state.recovered, error: state.error?.code }
      return null
    }
    const children = Object.entries(members).map(([name, room]) => h(w.Member as never, { key: name, name, room } as never))
    // A new function each time, as most people write it.
    const provider = h(window.hooks.RoomcastProvider, { url: window.url, token: async () => window.token }, ...children)
    window.reactRoot.render(h(strict ? StrictMode : Fragment, null, provider))
  }, { members, strict: options.strict ?? false, history: options.history ?? 0 })
}

async function untilLast (page: Page, name: string, wanted: object): Promise<void> {
  await page.waitForFunction(({ name, wanted }) => {
    const last = (window.last[name] ?? {}) as Record<string, unknown>
    return Object.entries(wanted).every(([key, value]) => JSON.stringify(last[key]) === JSON.stringify(value))
  }, { name, wanted }).catch(async () => { throw new Error(`${name} has ${JSON.stringify(await page.evaluate((name) => window.last[name], name))}`) })
}

for (const version of ['18', '19']) {
  test(`React ${version}`, async (t) => {
    const page = await openPage(t, version)
    if (page === undefined) return
    const service = await startService(t, { MESSAGE_RATE: '0' })
    const post = async (room: string, text: string): Promise<void> => { await call(service, 'POST', `/v1/rooms/${room}/messages`, { body: { text } }) }
    await introduce(page, service.url)
    t.afterEach(async () => {
      await page.evaluate(() => { window.reactRoot.render(null) })
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
        await call(service, 'POST', '/v1/messages', { body: { messages: Array.from({ length: 100 }, (_, n) => ({ room: 'burst', data: i * 100 + n })) } })
      }
      await page.waitForFunction(() => (window.last.a as { messages: unknown[] }).messages.at(-1) === 999)
      const { messages } = await page.evaluate(() => window.last.a) as { messages: unknown[] }
      t.strictSame(messages, Array.from({ length: 200 }, (_, n) => 800 + n), 'the latest 200 are kept')
      const renders = await page.evaluate((before) => window.renders.a as number - before, before)
      t.ok(renders < 200, `${renders} renders for 1,000 messages`)
    })

    await t.test('history comes before what is live, without anything twice', async () => {
      for (let i = 1; i <= 5; i++) await post('past', String(i))
      await page.evaluate(() => { delete (window as { Member?: unknown }).Member })
      await show(page, { a: 'past' }, { history: 3 })
      await untilLast(page, 'a', { messages: ['3', '4', '5'] })
      await post('past', '6')
      await untilLast(page, 'a', { messages: ['3', '4', '5', '6'], recovered: undefined })
      await show(page, { a: 'past', b: 'past' }, { history: 3 })
      await untilLast(page, 'b', { messages: ['4', '5', '6'] })
      await page.evaluate(() => { delete (window as { Member?: unknown }).Member })
    })

    await t.test('a room that is refused says why', async () => {
      await page.evaluate((token) => { window.token = token }, makeToken({ rooms: { open: ['join'] } }))
      await show(page, { a: 'closed', b: 'open' })
      await untilLast(page, 'a', { state: 'refused', error: 'forbidden' })
      await untilLast(page, 'b', { state: 'joined', error: undefined })
      await page.evaluate((token) => { window.token = token }, makeToken())
    })

    await t.test('a connection that was lost is resumed; where history is gone, it is loaded anew', async (t) => {
      const network = await TcpProxy.start(t, service.port)
      await introduce(page, `http://127.0.0.1:${network.port}`)
      await page.evaluate(() => { delete (window as { Member?: unknown }).Member })
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
      await introduce(page, service.url)
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

    await t.test('useWebSocket talks to any server', async (t) => {
      const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
      t.teardown(() => { server.close() })
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const received: string[] = []
      const sockets: WebSocket[] = []
      server.on('connection', (ws) => {
        sockets.push(ws)
        ws.on('message', (data) => {
          received.push(String(data))
          ws.send(String(data))
        })
      })
      const use = async (url: string | null, options: object = {}): Promise<void> => {
        await page.evaluate(({ url, options }) => {
          const { createElement: h, StrictMode } = window.React
          const w = window as Window & { Socket?: (props: { url: string | null, options: object }) => null }
          w.Socket ??= function Socket ({ url, options }) {
            const socket = window.socket = window.hooks.useWebSocket(url, options)
            window.last.socket = { messages: socket.messages, isConnected: socket.isConnected }
            return null
          }
          window.reactRoot.render(h(StrictMode, null, h(w.Socket, { url, options })))
        }, { url, options })
      }
      await use(`ws://127.0.0.1:${port}/`)
      await untilLast(page, 'socket', { isConnected: true, messages: [] })
      t.equal(sockets.length, 1)
      t.strictSame(await page.evaluate(() => [window.socket.send({ a: 1 }), window.socket.send('not json')]), [true, true])
      await untilLast(page, 'socket', { messages: [{ a: 1 }, 'not json'] })
      t.strictSame(received, ['{"a":1}', 'not json'])

      await page.clock.install({ time: 0 })
      await page.clock.pauseAt(1_000)
      const closes = await page.evaluate(() => window.closes)
      sockets[0]?.close()
      await page.waitForFunction((closes) => window.closes > closes, closes) // No clock of the page knows when.
      await page.clock.runFor(10)
      await untilLast(page, 'socket', { isConnected: false })
      t.equal(await page.evaluate(() => window.socket.send('lost')), false)
      // Refused from here on: 1 s, 2 s, 4 s … 30 s.
      await new Promise<void>((resolve) => { server.close(() => { resolve() }) })
      for (const ms of [990, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
        const opened = await page.evaluate(() => window.sockets)
        await page.clock.runFor(ms - 1)
        t.equal(await page.evaluate(() => window.sockets), opened, `not before ${ms} ms`)
        await page.clock.runFor(1)
        t.equal(await page.evaluate(() => window.sockets), opened + 1, 'but then')
        await page.waitForFunction(() => window.closes === window.sockets)
      }
      await page.clock.resume()

      const raw = new WebSocketServer({ port: 0, host: '127.0.0.1' })
      t.teardown(() => { raw.close() })
      await once(raw, 'listening')
      raw.on('connection', (ws) => { ws.send('{"raw":true}') })
      await use(`ws://127.0.0.1:${(raw.address() as AddressInfo).port}/`, { raw: true })
      await untilLast(page, 'socket', { isConnected: true, messages: ['{"raw":true}'] })
      await use(null)
      await until(() => raw.clients.size === 0)
      await untilLast(page, 'socket', { isConnected: false, messages: [] })
    })
  })
}

test('on a server nothing connects, and there is something to render', async (t) => {
  function Page (): string {
    const { messages, state } = useRoom('lobby')
    const connection = useConnection()
    const socket = useWebSocket('ws://127.0.0.1:1/')
    return JSON.stringify({ messages, state, connection: connection.state, isConnected: socket.isConnected })
  }
  const html = renderToString(createElement(RoomcastProvider, { url: 'http://127.0.0.1:1', token: 'none' }, createElement(Page)))
  t.strictSame(JSON.parse(html.replaceAll('&quot;', '"')), { messages: [], state: 'idle', connection: 'connecting', isConnected: false })
})
