import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import { until } from '../support/until.ts'
import { openPage, untilLast, VERSIONS } from './react-page.ts'

/** A server that knows nothing of Roomcast. */
interface PlainServer {
  url: string
  /** All connections so far. */
  sockets: WebSocket[]
  received: { data: Buffer, isBinary: boolean }[]
  /** Attempts to connect, refused or not. */
  attempts: number
  /** Whether attempts are refused. */
  isDown: boolean
}

async function startServer (t: Test, options: ServerOptions = {}): Promise<PlainServer> {
  const plain: PlainServer = { url: '', sockets: [], received: [], attempts: 0, isDown: false }
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    verifyClient: () => {
      plain.attempts++
      return !plain.isDown
    },
    ...options
  })
  server.on('connection', (ws) => {
    plain.sockets.push(ws)
    ws.on('message', (data: Buffer, isBinary) => { plain.received.push({ data, isBinary }) })
  })
  await once(server, 'listening')
  t.teardown(() => {
    for (const ws of server.clients) ws.terminate()
    server.close()
  })
  plain.url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return plain
}

/** Shows a component that uses the WebSocket; what the hook returned last is `last.socket`, and `socket`. */
async function show (
  page: Page,
  url: string | null,
  options: { raw?: boolean, protocols?: string | string[], limit?: number } = {}
): Promise<void> {
  await page.evaluate(({ url, options }) => {
    const { createElement: h, StrictMode } = window.React
    const w = window as Window & { User?: (props: { url: string | null, options: object }) => null }
    w.User ??= function User ({ url, options }) {
      // Other options with each render, as most people write them.
      const socket = window.socket = window.hooks.useWebSocket(url, {
        ...options,
        ...('protocols' in options && { protocols: [options.protocols].flat() as string[] })
      })
      window.renders.socket = (window.renders.socket ?? 0) + 1
      window.last.socket = { messages: socket.messages, isConnected: socket.isConnected, error: socket.error?.name }
      return null
    }
    window.reactRoot.render(h(StrictMode, null, h(w.User, { url, options })))
  }, { url, options })
}

async function unmount (page: Page): Promise<void> {
  await page.evaluate(() => { window.reactRoot.render(null) })
}

for (const version of VERSIONS) {
  test(`React ${version}`, async (t) => {
    const page = await openPage(t, version)
    if (page === undefined) return
    t.afterEach(async () => {
      await unmount(page)
      await page.evaluate(() => { Object.assign(window, { renders: {}, last: {}, sockets: 0, closes: 0 }) })
    })

    await t.test('StrictMode opens one WebSocket, which is closed with the component', async (t) => {
      const server = await startServer(t)
      await show(page, server.url)
      await untilLast(page, 'socket', { isConnected: true, messages: [] })
      await show(page, server.url)
      t.equal(await page.evaluate(() => window.sockets), 1)
      const closed = once(server.sockets[0] as WebSocket, 'close')
      await unmount(page)
      await closed
      t.equal(server.attempts, 1)
    })

    await t.test('JSON is parsed and written, and what is none stays as it is', async (t) => {
      const server = await startServer(t)
      await show(page, server.url)
      await untilLast(page, 'socket', { isConnected: true })
      t.strictSame(await page.evaluate(() => [
        window.socket.send({ a: 1 }),
        window.socket.send(['b']),
        window.socket.send(null),
        window.socket.send('not json'),
        window.socket.send(new Uint8Array([1, 2]))
      ]), [true, true, true, true, true])
      await until(() => server.received.length === 5, 'all of it')
      t.strictSame(
        server.received.map(({ data, isBinary }) => isBinary ? [...data] : String(data)),
        ['{"a":1}', '["b"]', 'null', 'not json', [1, 2]]
      )
      for (const text of ['{"a":1}', '"text"', 'not json', '2']) server.sockets[0]?.send(text)
      await untilLast(page, 'socket', { messages: [{ a: 1 }, 'text', 'not json', 2] })
    })

    await t.test('raw is neither parsed nor written as JSON', async (t) => {
      const server = await startServer(t)
      await show(page, server.url, { raw: true })
      await untilLast(page, 'socket', { isConnected: true })
      server.sockets[0]?.send('{"a":1}')
      await untilLast(page, 'socket', { messages: ['{"a":1}'] })
      t.equal(await page.evaluate(() => window.socket.send('"b"')), true)
      await until(() => server.received.length === 1, 'the text')
      t.equal(String(server.received[0]?.data), '"b"')
    })

    await t.test('protocols are offered, and the same ones in another array are no other connection', async (t) => {
      const server = await startServer(t, { handleProtocols: (offered) => [...offered].at(-1) ?? false })
      await show(page, server.url, { protocols: ['v1', 'v2'] })
      await untilLast(page, 'socket', { isConnected: true })
      await show(page, server.url, { protocols: ['v1', 'v2'] })
      t.equal(server.sockets[0]?.protocol, 'v2')
      t.equal(await page.evaluate(() => window.sockets), 1)
    })

    await t.test('a burst of messages is a few renders, and the latest are kept', async (t) => {
      const server = await startServer(t)
      await show(page, server.url, { limit: 5 })
      await untilLast(page, 'socket', { isConnected: true })
      const before = await page.evaluate(() => window.renders.socket as number)
      for (let i = 1; i <= 1_000; i++) server.sockets[0]?.send(String(i))
      await untilLast(page, 'socket', { messages: [996, 997, 998, 999, 1_000] })
      const renders = await page.evaluate((before) => window.renders.socket as number - before, before)
      t.ok(renders < 200, `${renders} renders for 1,000 messages`)
    })

    await t.test('a limit of 0 keeps no message', async (t) => {
      const server = await startServer(t)
      await show(page, server.url, { limit: 0 })
      await untilLast(page, 'socket', { isConnected: true })
      for (let i = 1; i <= 3; i++) server.sockets[0]?.send(String(i))
      server.sockets[0]?.close()
      await untilLast(page, 'socket', { isConnected: false, messages: [] })
    })

    await t.test('an invalid URL or protocol is an error in the state, and another one begins again', async (t) => {
      const server = await startServer(t)
      const invalid: [url: string, options?: { protocols: string | string[] }][] = [
        ['ws://127.0.0.1:99999'],
        ['ftp://127.0.0.1/'],
        [`${server.url}#fragment`],
        [server.url, { protocols: ['twice', 'twice'] }],
        [server.url, { protocols: 'a b' }]
      ]
      for (const [i, [url, options]] of invalid.entries()) {
        await show(page, url, options)
        await untilLast(page, 'socket', { isConnected: false, messages: [], error: 'SyntaxError' })
        t.equal(await page.evaluate(() => window.socket.send('lost')), false)
        await show(page, server.url, { protocols: `v${i}` })
        await untilLast(page, 'socket', { isConnected: true, error: undefined })
      }
      t.equal(server.attempts, invalid.length)
    })

    await t.test('a page over HTTPS that may not use ws: has the error in the state', async () => {
      const insecure = page.url()
      await page.route('https://secure.example/**', async (route) => {
        const response = await fetch(new URL(new URL(route.request().url()).pathname, insecure))
        await route.fulfill({ contentType: response.headers.get('content-type') ?? '', body: await response.text() })
      })
      await page.goto('https://secure.example/')
      await page.waitForFunction('window.reactRoot !== undefined')
      await show(page, 'ws://insecure.example/')
      await untilLast(page, 'socket', { isConnected: false, error: 'SecurityError' })
      await page.goto(insecure)
      await page.waitForFunction('window.reactRoot !== undefined')
    })

    await t.test('another URL begins anew, and none is no connection', async (t) => {
      const [first, second] = [await startServer(t), await startServer(t)]
      await show(page, first.url)
      await untilLast(page, 'socket', { isConnected: true })
      first.sockets[0]?.send('"first"')
      await untilLast(page, 'socket', { messages: ['first'] })
      const left = once(first.sockets[0] as WebSocket, 'close')
      await show(page, second.url)
      await left
      await untilLast(page, 'socket', { isConnected: true, messages: [] })
      second.sockets[0]?.send('"second"')
      await untilLast(page, 'socket', { messages: ['second'] })
      const leftAgain = once(second.sockets[0] as WebSocket, 'close')
      await show(page, null)
      await leftAgain
      await untilLast(page, 'socket', { isConnected: false, messages: [] })
      t.equal(await page.evaluate(() => window.socket.send('lost')), false)
      t.strictSame([first.attempts, second.attempts], [1, 1])
    })

    await t.test('unmounting while it connects leaves nothing behind', async (t) => {
      const server = await startServer(t)
      await page.evaluate((url) => {
        const { createElement: h } = window.React
        const User = (): null => {
          window.hooks.useWebSocket(url)
          return null
        }
        const OpenedSocket = window.WebSocket
        // As soon as there is one.
        window.WebSocket = class extends OpenedSocket {
          constructor (...parameters: ConstructorParameters<typeof OpenedSocket>) {
            super(...parameters)
            window.WebSocket = OpenedSocket
            queueMicrotask(() => { window.reactRoot.render(null) })
          }
        }
        window.reactRoot.render(h(User))
      }, server.url)
      await page.waitForFunction(() => window.sockets === 1 && window.closes === 1)
      await until(() => server.sockets.every(({ readyState }) => readyState === 3), 'the connection to be gone')
      t.equal(await page.evaluate(() => window.sockets), 1)
    })

    await t.test('it comes back after 1 s, 2 s, 4 s … 30 s, and a connection or another URL begins with 1 s again', async (t) => {
      const server = await startServer(t)
      const another = await startServer(t)
      await show(page, server.url)
      await untilLast(page, 'socket', { isConnected: true })
      // From here on the page's time is ours.
      await page.clock.install({ time: 0 })
      await page.clock.pauseAt(1_000)
      const fall = async (): Promise<void> => {
        const closes = await page.evaluate(() => window.closes)
        for (const ws of [...server.sockets, ...another.sockets]) ws.terminate()
        await page.waitForFunction((closes) => window.closes > closes, closes)
      }
      const comesBackAfter = async (
        ms: number,
        { attempts }: PlainServer = server,
        count = (): number => server.attempts
      ): Promise<void> => {
        const opened = await page.evaluate(() => window.sockets)
        await page.clock.runFor(ms - 1)
        t.equal(await page.evaluate(() => window.sockets), opened, `not before ${ms} ms`)
        await page.clock.runFor(1)
        t.equal(await page.evaluate(() => window.sockets), opened + 1, `but after ${ms} ms`)
        await until(() => count() === attempts + 1, 'the attempt')
      }
      const attemptEnds = async (): Promise<void> => { await page.waitForFunction(() => window.closes === window.sockets) }

      server.isDown = true
      await fall()
      for (const ms of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
        await comesBackAfter(ms)
        await attemptEnds()
      }
      await untilLast(page, 'socket', { isConnected: false })
      t.equal(await page.evaluate(() => window.socket.send('lost')), false)

      server.isDown = false
      await comesBackAfter(30_000)
      await until(() => server.sockets.length === 2, 'the connection')
      await page.waitForFunction(() => window.socket.send('open'))
      await page.clock.runFor(100)
      await untilLast(page, 'socket', { isConnected: true })
      server.isDown = true
      await fall()
      await comesBackAfter(1_000)
      await attemptEnds()
      await comesBackAfter(2_000)
      await attemptEnds()

      another.isDown = true
      await show(page, another.url)
      await until(() => another.attempts === 1, 'the other server to be asked')
      await page.clock.runFor(0)
      await attemptEnds()
      await comesBackAfter(1_000, another, () => another.attempts)
      await page.clock.resume()
    })
  })
}
