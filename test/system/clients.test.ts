import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { chromium, type Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { CHROMIUM_ARGUMENTS, findChromium, findPythonWebsockets } from '../support/debian.ts'
import { until } from '../support/until.ts'
import { type ServiceProcess, startProcess } from '../support/service-process.ts'

// Compiled tests are in dist/test/; what is not TypeScript stays where it is.
const ROOT = new URL('../../../', import.meta.url)
const run = promisify(execFile)

/** What `npm start` printed, to be pasted. */
function readGreeting (service: ServiceProcess): { token: string, curl: string, snippet: string } {
  const text = service.stdout()
  return {
    token: /^eyJ\S+$/m.exec(text)?.[0] ?? '',
    curl: /^curl .*$/m.exec(text)?.[0] ?? '',
    snippet: /^const ws = [^]*?console\.log.*$/m.exec(text)?.[0] ?? ''
  }
}

/** A program that is a client; `text` is what it has printed. */
function spawnClient (t: Test, command: string, parameters: string[]): { text: () => string } {
  const child = spawn(command, parameters, { stdio: ['pipe', 'pipe', 'pipe'] })
  let text = ''
  child.stdout.on('data', (chunk) => { text += String(chunk) })
  child.stderr.on('data', (chunk) => { text += String(chunk) })
  t.teardown(() => { child.kill('SIGKILL') })
  return { text: () => text }
}

async function openPage (t: Test, executablePath: string, url: string): Promise<Page> {
  const browser = await chromium.launch({ executablePath, args: CHROMIUM_ARGUMENTS })
  t.teardown(async () => { await browser.close() })
  const page = await browser.newPage()
  await page.goto(url)
  return page
}

/** Serves the tutorial's page: from another origin than the service. */
async function servePage (t: Test): Promise<string> {
  const html = readFileSync(new URL('test/fixtures/client.html', ROOT))
  const server = createServer((_request, response) => { response.setHeader('content-type', 'text/html').end(html) }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('the pasted curl reaches a Python client', async (t) => {
  const python = findPythonWebsockets(t)
  if (python === undefined) return
  const service = await startProcess(t, {})
  const { token, curl } = readGreeting(service)
  const client = spawnClient(t, python, [
    fileURLToPath(new URL('test/fixtures/client.py', ROOT)),
    `${service.url.replace('http', 'ws')}/ws?token=${token}&room=lobby`
  ])
  await until(() => client.text().includes('"joined"'), 'the Python client to join')
  const { stdout } = await run('sh', ['-c', curl])
  t.match(JSON.parse(stdout), { room: 'lobby', offset: 1, audience: 1 })
  await until(() => client.text().includes('"text":"hello"'), 'the message')
  t.pass('it has the message')
})

test('the pasted curl reaches wscat', async (t) => {
  const service = await startProcess(t, {})
  const { token, curl } = readGreeting(service)
  const client = spawnClient(t, fileURLToPath(new URL('node_modules/.bin/wscat', ROOT)), [
    '-c',
    `${service.url.replace('http', 'ws')}/ws?token=${token}&room=lobby`
  ])
  await until(() => client.text().includes('"joined"'), 'wscat to join')
  await run('sh', ['-c', curl])
  await until(() => client.text().includes('"text":"hello"'), 'the message')
  t.pass('it has the message')
})

test('the pasted curl reaches a page written as a tutorial would write it, and what the page sends comes back', async (t) => {
  const executable = findChromium(t)
  if (executable === undefined) return
  const service = await startProcess(t, {})
  const { token, curl } = readGreeting(service)
  const page = await openPage(t, executable, `${await servePage(t)}/?server=${service.url.replace('http', 'ws')}&token=${token}`)
  await page.waitForFunction("document.title === 'Chat: lobby'")
  await run('sh', ['-c', curl])
  await page.getByText('dev: hello').waitFor()
  await page.fill('#text', 'from the page')
  await page.click('button')
  await page.getByText('dev: from the page').waitFor()
  t.equal(await page.locator('li').count(), 2)
})

test('the pasted snippet works in the console of a browser, and a browser is told of a bad token by close 4001', async (t) => {
  const executable = findChromium(t)
  if (executable === undefined) return
  const service = await startProcess(t, {})
  const { snippet, curl } = readGreeting(service)
  const page = await openPage(t, executable, `${await servePage(t)}/?server=ws://127.0.0.1:1&token=none`)
  const lines: string[] = []
  page.on('console', (line) => { lines.push(line.text()) })
  await page.evaluate(snippet)
  await until(() => lines.some((line) => line.includes('"joined"')), 'the snippet to join')
  await run('sh', ['-c', curl])
  await until(() => lines.some((line) => line.includes('"text":"hello"')), 'the message')
  t.pass('it has the message')

  const ended = await page.evaluate(`new Promise((resolve) => {
    const ws = new WebSocket('${service.url.replace('http', 'ws')}/ws?token=bad')
    ws.onclose = ({ code, reason }) => resolve([code, reason])
  })`)
  t.strictSame(ended, [4001, 'Unauthorized'])
})

test('the documentation page shows the routes', async (t) => {
  const executable = findChromium(t)
  if (executable === undefined) return
  const service = await startProcess(t, {})
  const page = await openPage(t, executable, `${service.url}/docs`)
  await page.getByText('/v1/rooms/{room}/messages').first().waitFor()
  t.pass('it lists them')
})
