import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'
import { CHROMIUM_ARGUMENTS, findChromium } from './debian.ts'

const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.map': 'application/json' }
/** The compiled package, as browsers load it: this file is in dist/test/. */
const DIST = new URL('../../', import.meta.url)
const PAGE =
  '<!doctype html><title>SDK</title><script type="module">import * as roomcast from "/client/index.js"; window.roomcast = roomcast</script>'

/** Starts a Chromium that ends with the test; without one the test is skipped, loudly. */
export async function startBrowser (t: Test): Promise<Browser | undefined> {
  const executablePath = findChromium(t)
  if (executablePath === undefined) return undefined
  const browser = await chromium.launch({ executablePath, args: CHROMIUM_ARGUMENTS })
  t.teardown(async () => { await browser.close() })
  return browser
}

/** Serves the package's own files, without a bundler, and a page that has loaded the SDK as `window.roomcast`. */
export async function serveSdk (t: Test): Promise<string> {
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    if (path === '/') {
      response.setHeader('content-type', 'text/html').end(PAGE)
      return
    }
    readFile(new URL(`.${path}`, DIST)).then((file) => {
      response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream').end(file)
    }, () => { response.writeHead(404).end() })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A page with the SDK in it. */
export async function openSdk (browser: Browser | BrowserContext, url: string): Promise<Page> {
  const page = await browser.newPage()
  await page.goto(url)
  await page.waitForFunction('window.roomcast !== undefined')
  return page
}
