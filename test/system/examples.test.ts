import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Browser, Locator, Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { startBrowser } from '../support/browser.ts'
import { requireClientBuild } from '../support/client-package.ts'
import { findFreePort } from '../support/free-port.ts'
import { type ServiceProcess, spawnProgram } from '../support/service-process.ts'

const run = promisify(execFile)

async function startExample (t: Test, name: string, port: number): Promise<ServiceProcess> {
  requireClientBuild()
  return await spawnProgram(t, fileURLToPath(new URL(`../../../examples/${name}/server.js`, import.meta.url)), { PORT: String(port) })
}

/** A page whose scripts throw nothing. */
async function openPage (t: Test, browser: Browser, url: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  page.on('pageerror', (error) => { t.error(error, 'the page throws nothing') })
  await page.goto(url)
  return page
}

test('the dashboard: its own tests pass', async (t) => {
  requireClientBuild()
  const file = fileURLToPath(new URL('../../../examples/dashboard/follow.test.js', import.meta.url))
  const { stdout } = await run(process.execPath, ['--test', '--test-reporter=tap', file])
  t.match(stdout, /# pass 4\n# fail 0/)
})

test('the chat: two people talk, one of them through a restart', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const port = await findFreePort()
  const server = await startExample(t, 'chat', port)
  const enter = async (name: string): Promise<Page> => {
    const page = await openPage(t, browser, server.url)
    await page.getByLabel('Your name').fill(name)
    await page.getByRole('button', { name: 'Enter' }).click()
    await page.getByRole('status').getByText('connected', { exact: true }).waitFor()
    return page
  }
  const say = async (page: Page, text: string): Promise<void> => {
    await page.getByLabel('Message').fill(text)
    await page.getByRole('button', { name: 'Send' }).click()
  }
  const lines = async (page: Page): Promise<string[]> => await page.locator('.text').allTextContents()
  const ada = await enter('ada')
  await say(ada, 'hi bob')
  const bob = await enter('bob')
  await bob.getByText('hi bob').waitFor()
  await say(bob, 'hi ada')
  await ada.getByText('hi ada').waitFor()
  t.strictSame(await lines(ada), ['hi bob', 'hi ada'])

  await bob.getByRole('button', { name: '# kitchen' }).click()
  await say(bob, 'anybody hungry?')
  await bob.getByText('anybody hungry?').waitFor()
  t.strictSame(await lines(bob), ['anybody hungry?'])
  await bob.getByRole('button', { name: '# lobby' }).click()
  await bob.getByText('hi ada').waitFor()
  t.strictSame(await lines(bob), ['hi bob', 'hi ada'])

  server.child.kill('SIGTERM')
  t.equal(await server.exited, 0)
  await ada.getByText('trying again').waitFor()
  await say(ada, 'said meanwhile')
  await ada.getByText('sending…').waitFor()
  await startExample(t, 'chat', port)
  await bob.getByText('said meanwhile').waitFor()
  await ada.getByText('sending…').waitFor({ state: 'detached' })
  t.strictSame(await lines(ada), ['said meanwhile'], 'the room is a new one, for its history was in memory')
})

test('the dashboard shows what the backend sends', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const server = await startExample(t, 'dashboard', await findFreePort())
  const page = await openPage(t, browser, server.url)
  await page.getByText('live').waitFor()
  await page.waitForFunction(() => Number(document.getElementById('requests')?.textContent) > 0)
  await page.locator('#orders tr').nth(1).waitFor()
  t.match(await page.locator('#orders tr').last().innerText(), /^#1\d\d\d\t.*€\t/)
  const points = async (): Promise<number> => (await page.locator('#latency-chart polyline').getAttribute('points'))?.split(' ').length ?? 0
  const before = await points()
  await page.reload()
  await page.waitForFunction(
    (before) => (document.querySelector('#latency-chart polyline')?.getAttribute('points')?.split(' ').length ?? 0) >= before,
    before
  )
  t.ok(await points() >= before, 'a page that is loaded again has what was there before')
  server.child.kill('SIGTERM')
  t.equal(await server.exited, 0)
})

/** The page of `examples/plug`. */
interface PlugPage {
  page: Page
  server: ServiceProcess
  roomcast: Pane
  socketIo: Pane
}

async function openPlug (t: Test, browser: Browser): Promise<PlugPage> {
  const server = await startExample(t, 'plug', await findFreePort())
  const page = await openPage(t, browser, server.url)
  return { page, server, roomcast: new Pane(page, 'Roomcast'), socketIo: new Pane(page, 'socket.io') }
}

class Pane {
  readonly #region: Locator

  constructor (page: Page, name: string) {
    this.#region = page.getByRole('region', { name, exact: true })
  }

  async write (text: string): Promise<void> {
    await this.#region.getByLabel('Message', { exact: true }).fill(text)
    await this.#region.getByRole('button', { name: 'Send' }).click()
  }

  async waitForMessage (text: string): Promise<void> {
    await this.#region.locator('.arrived').getByText(text).waitFor()
  }

  /** The texts of the messages that have arrived, each as often as it has. */
  async arrived (): Promise<string[]> {
    return await this.#region.locator('.arrived .text').allTextContents()
  }

  /** The texts of the expected messages that have not arrived. */
  async missing (): Promise<string[]> {
    return await this.#region.locator('.missing .text').allTextContents()
  }

  async counts (): Promise<Record<string, number>> {
    const names = await this.#region.locator('dt').allTextContents()
    const counts = await this.#region.locator('dd').allTextContents()
    return Object.fromEntries(names.map((name, i) => [name, Number(counts[i])]))
  }
}

test('pull the plug: Roomcast delivers each message once and in order', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const { page, server, roomcast, socketIo } = await openPlug(t, browser)
  await page.getByRole('button', { name: 'Pull the plug' }).click()
  await page.getByText('The network is cut.').waitFor()
  const own = ['one', 'two', 'three']
  for (const pane of [roomcast, socketIo]) for (const text of own) await pane.write(text)
  const posted = page.waitForResponse('**/messages')
  await page.getByRole('button', { name: 'Another user writes' }).click()
  t.equal((await posted).status(), 200)
  for (const pane of [roomcast, socketIo]) {
    t.strictSame(await pane.counts(), { expected: 6, arrived: 0, missing: 6, doubled: 0, 'out of order': 0 }, 'nothing gets through')
  }

  await page.getByRole('button', { name: 'Plug it in again' }).click()
  const others = ['message 1', 'message 2', 'message 3']
  for (const pane of [roomcast, socketIo]) {
    // Whatever is repeated comes before a message that is written now.
    await pane.waitForMessage('three')
    await pane.write('the last')
    await pane.waitForMessage('the last')
  }
  t.strictSame(await roomcast.arrived(), [...others, ...own, 'the last'])
  t.strictSame(await roomcast.missing(), [])
  t.strictSame(await roomcast.counts(), { expected: 7, arrived: 7, missing: 0, doubled: 0, 'out of order': 0 })
  t.strictSame(await socketIo.arrived(), [...own, 'the last'], 'socket.io sends the buffered messages')
  t.strictSame(await socketIo.missing(), others, 'and does not deliver the missed ones')
  server.child.kill('SIGTERM')
  t.equal(await server.exited, 0)
})

test('pull the plug: a message without an answer is in the room of Roomcast once', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const { page, roomcast, socketIo } = await openPlug(t, browser)
  await page.getByRole('button', { name: 'Pull it while' }).click()
  await page.getByText('The network is cut.').waitFor()
  for (const pane of [roomcast, socketIo]) t.strictSame(await pane.missing(), ['sent as the plug was pulled'], 'the page has no answer')
  await page.getByRole('button', { name: 'Plug it in again' }).click()
  await roomcast.waitForMessage('sent as the plug was pulled')
  await roomcast.write('the last')
  await roomcast.waitForMessage('the last')
  t.strictSame(await roomcast.arrived(), ['sent as the plug was pulled', 'the last'])
})
