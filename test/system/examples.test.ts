import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { startBrowser } from '../support/browser.ts'
import { requireClientBuild } from '../support/client-package.ts'
import { findFreePort } from '../support/free-port.ts'
import { type ServiceProcess, spawnProgram } from '../support/service-process.ts'

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
