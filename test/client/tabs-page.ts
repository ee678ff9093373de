import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BrowserContext, Page } from 'playwright-core'
import type { Test } from 'tap'
import type * as tabs from '../../client/tabs/index.ts'
import { requireClientBuild } from '../support/client-package.ts'
import { until } from '../support/until.ts'

/** The state of a page. */
declare global {
  interface Window {
    tabs: typeof tabs
    client: tabs.Client
    /** The data of the messages, and the resets, by room. */
    got: Record<string, unknown[]>
    /** The offsets of the messages, by room. */
    offsets: Record<string, unknown[]>
    statuses: tabs.Status[]
    /** The frames from the worker. */
    fromWorker: string[]
  }
}

/** The compiled package: this file is in dist/test/client/. */
const DIST = new URL('../../', import.meta.url)
/** The script of the worker as it is published. */
const WORKER = new URL('../client/dist/tabs-worker.js', DIST)
const PAGE = '<!doctype html><title>Tabs</title><script type="module">window.tabs = await import("/client/tabs/index.js")</script>'

/** Serves a page with the entry `tabs`, and the script of its worker. `/wait` has no answer before a request of `/release`. */
export async function serveTabs (t: Test): Promise<string> {
  requireClientBuild()
  const waiting: ServerResponse[] = []
  const server = createServer((request, response) => {
    const [path = '/'] = (request.url ?? '/').split('?')
    if (path === '/') {
      response.setHeader('content-type', 'text/html').end(PAGE)
      return
    }
    if (path === '/wait' || path === '/release') waiting.push(response)
    if (path === '/release') for (const response of waiting.splice(0)) response.end()
    if (path === '/wait' || path === '/release') return
    if (path === '/silent.js') {
      response.setHeader('content-type', 'text/javascript').end('// It runs, and does not listen.')
      return
    }
    readFile(path === '/tabs-worker.js' ? WORKER : new URL(`.${path}`, DIST)).then((file) => {
      response.setHeader('content-type', 'text/javascript').end(file)
    }, () => { response.writeHead(404).end() })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** How a tab connects. */
export interface TabOptions {
  /** The results of the token function; the last one stays. */
  tokens?: string[]
  /** The URL of the script of the worker; by default a function starts it. */
  worker?: string
  /** What the browser does not have. */
  without?: 'SharedWorker' | 'locks' | undefined
}

/** A tab with a client. */
export class Tab {
  readonly page: Page
  /** The warnings in its console. */
  readonly warnings: string[] = []

  private constructor (page: Page) {
    this.page = page
    page.on('console', (message) => { if (message.type() === 'warning') this.warnings.push(message.text()) })
  }

  /** Opens a tab, and connects. */
  static async open (
    context: BrowserContext,
    address: string,
    { url, tokens, worker, without }: TabOptions & { url: string, tokens: string[] }
  ): Promise<Tab> {
    const page = await context.newPage()
    const tab = new Tab(page)
    await page.goto(address)
    await page.waitForFunction('window.tabs !== undefined')
    await page.evaluate(({ url, tokens, worker, without }) => {
      if (without === 'SharedWorker') delete (window as Partial<typeof globalThis>).SharedWorker
      if (without === 'locks') Object.defineProperty(navigator, 'locks', { value: undefined })
      window.got = {}
      window.offsets = {}
      window.statuses = []
      window.fromWorker = []
      const start = (): SharedWorker => {
        const started = new SharedWorker('/tabs-worker.js', { name: 'roomcast' })
        started.port.addEventListener('message', ({ data }) => { if (typeof data === 'string') window.fromWorker.push(data) })
        return started
      }
      const token = (): string => (tokens.length > 1 ? tokens.shift() : tokens[0]) ?? ''
      window.client = window.tabs.connect({ url, token, worker: worker ?? start, transports: ['websocket'] })
      window.client.on('status', (status) => { window.statuses.push(status) })
    }, { url, tokens, worker, without })
    return tab
  }

  /** Joins a room, and records its messages. */
  async join (room: string, since?: tabs.Position): Promise<void> {
    await this.page.evaluate(async ({ name, since }) => {
      const room = window.client.room(name)
      const got = window.got[name] ??= []
      const offsets = window.offsets[name] ??= []
      room.on('message', ({ data, bytes, offset }) => {
        got.push(bytes === undefined ? data : [...bytes])
        offsets.push(offset)
      })
      room.on('reset', () => { got.push('reset') })
      await room.join(since === undefined ? {} : { since })
    }, { name: room, since })
  }

  async leave (room: string): Promise<void> {
    await this.page.evaluate(async (room) => { await window.client.room(room).leave() }, room)
  }

  /** Publishes, and waits for the answer; an array of numbers as bytes. */
  async publish (room: string, data: unknown, options: { echo?: boolean } = {}): Promise<tabs.Published> {
    return await this.page.evaluate(async ({ room, data, options }) => {
      return await window.client.room(room).publish(Array.isArray(data) ? new Uint8Array(data) : data, options)
    }, { room, data, options })
  }

  /** The messages and resets of a room so far. */
  async got (room: string): Promise<unknown[]> {
    return await this.page.evaluate((room) => window.got[room] ?? [], room)
  }

  /** The offsets of the messages of a room so far. */
  async offsets (room: string): Promise<unknown[]> {
    return await this.page.evaluate((room) => window.offsets[room] ?? [], room)
  }

  /** How many messages have come from the worker, duplicates too. */
  async countMessages (): Promise<number> {
    return await this.page.evaluate(() => window.fromWorker.filter((frame) => frame.startsWith('{"type":"message"')).length)
  }

  /** The states of the client so far, with their reasons. */
  async statuses (): Promise<string[]> {
    return await this.page.evaluate(() => window.statuses.map(({ state, reason = '' }) => `${state} ${reason}`.trim()))
  }

  /** Resolves when the client has been in a state. */
  async untilStatus (status: string): Promise<void> {
    await until(async () => (await this.statuses()).includes(status), status)
  }

  /** Ends the process of the tab. */
  async crash (): Promise<void> {
    const session = await this.page.context().newCDPSession(this.page)
    const crashed = this.page.waitForEvent('crash')
    session.send('Page.crash').catch(() => {})
    await crashed
  }

  /** Closes the tab, as its user does. */
  async close (): Promise<void> {
    await this.page.close()
  }

  /** Resolves when the latest message of a room is this one. */
  async until (room: string, last: unknown): Promise<void> {
    await this.page.waitForFunction(({ room, last }) => {
      return JSON.stringify(window.got[room]?.at(-1)) === JSON.stringify(last)
    }, { room, last }).catch(async () => {
      throw new Error(`${room} has ${JSON.stringify(await this.got(room))} and not ${JSON.stringify(last)} at its end`)
    })
  }
}
