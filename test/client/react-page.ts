import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type * as ReactPackage from 'react'
import type { Root } from 'react-dom/client'
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import type * as sdk from '../../client/index.ts'
import type * as hooks from '../../client/react/index.ts'
import { startBrowser } from '../support/browser.ts'

/** The versions of React that the hooks work with. */
export const VERSIONS = ['18', '19']

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
    /** A client that the page has made itself. */
    given: sdk.Client | undefined
    socket: hooks.UseWebSocket
    sockets: number
    closes: number
    token: string
    url: string
  }
}

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** What esbuild takes instead of `react` and `react-dom`, everywhere. */
export function aliasesOf (version: string): Record<string, string> {
  return version === '18' ? { react: 'react-18', 'react-dom': 'react-dom-18' } : {}
}

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
        Object.assign(window, {
          React,
          hooks,
          sdk,
          reactRoot: createRoot(document.getElementById('root')),
          renders: {},
          last: {},
          sockets: 0,
          closes: 0
        })
        window.WebSocket = class extends OpenedSocket {
          constructor (...args) {
            super(...args)
            window.sockets++
            this.addEventListener('close', () => { window.closes++ })
          }
        }
      `,
      resolveDir: ROOT
    },
    bundle: true,
    write: false,
    format: 'esm',
    define: { 'process.env.NODE_ENV': '"development"' }, // StrictMode does nothing in production.
    alias: aliasesOf(version)
  })
  return outputFiles?.[0]?.text ?? ''
}

/** Opens a page with everything in it. */
export async function openPage (t: Test, version: string): Promise<Page | undefined> {
  const browser = await startBrowser(t)
  if (browser === undefined) return undefined
  const script = await bundle(version)
  const server = createServer((request, response) => {
    const [type, body] = request.url === '/bundle.js'
      ? ['text/javascript', script]
      : ['text/html', '<!doctype html><div id="root"></div><script type="module" src="/bundle.js"></script>']
    response.setHeader('content-type', type).end(body)
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

/** Resolves when a component has been given what is wanted, whatever else. */
export async function untilLast (page: Page, name: string, wanted: object): Promise<void> {
  await page.waitForFunction(({ name, wanted }) => {
    const last = (window.last[name] ?? {}) as Record<string, unknown>
    return Object.entries(wanted).every(([key, value]) => JSON.stringify(last[key]) === JSON.stringify(value))
  }, { name, wanted }).catch(async () => {
    throw new Error(`${name} has ${JSON.stringify(await page.evaluate((name) => window.last[name], name))}`)
  })
}
