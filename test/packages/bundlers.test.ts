import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { findFreePort } from '../support/free-port.ts'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { startProject } from '../support/tools.ts'
import { until } from '../support/until.ts'

/** A name that only the sources of `ws` have. */
const WS = 'Sec-WebSocket-Extensions'

/** The scripts below a folder. */
function readScripts (folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return files.filter((path) => /\.m?js$/.test(path)).map((path) => readFileSync(join(folder, path), 'utf8'))
}

for (const [name, command, parameters] of [
  ['Vite', 'vite', ['build']],
  ['webpack', 'node', ['build-webpack.mjs']]
] as const) {
  test(`a page bundled by ${name} talks over both transports and has no ws`, async (t) => {
    const project = await startProject(t)
    if (project === undefined) return
    await project.run('.', command, [...parameters])
    const folder = join(project.folder, 'built', name.toLowerCase())
    const scripts = readScripts(folder)
    t.ok(scripts.length >= 2, 'event streams are a chunk of their own')
    t.strictSame(scripts.filter((script) => script.includes(WS)), [])
    const service = await startService(t)
    const output = await project.run('.', 'node', ['open-page.mjs', join(folder, 'page.mjs'), `${service.url}/page`, makeToken()])
    t.strictSame(JSON.parse(output), { transports: ['websocket', 'events'], opened: 2 })
  })
}

test('Next.js renders the hooks on its server, receives messages in a route, and sends no ws to the page', async (t) => {
  const project = await startProject(t)
  if (project === undefined) return
  await project.run('next', 'next', ['build'])
  const folder = join(project.folder, 'next')
  const scripts = readScripts(join(folder, '.next/static'))
  t.ok(scripts.some((script) => script.includes('roomcast.v1')), 'the page has the client')
  t.strictSame(scripts.filter((script) => script.includes(WS)), [])

  const service = await startService(t)
  const port = await findFreePort()
  const environment = { PATH: process.env.PATH, NEXT_TELEMETRY_DISABLED: '1', ROOMCAST_URL: service.url, ROOMCAST_TOKEN: makeToken() }
  const server = spawn(
    process.execPath,
    [join(folder, '../../node_modules/next/dist/bin/next'), 'start', '-H', '127.0.0.1', '-p', String(port)],
    { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'inherit'] }
  )
  let output = ''
  server.stdout.on('data', (chunk) => { output += String(chunk) })
  const exited = once(server, 'close')
  t.teardown(async () => {
    server.kill('SIGKILL')
    await exited
  })
  await until(() => output.includes('Ready'), 'Next.js to listen')
  t.match(await (await fetch(`http://127.0.0.1:${port}/`)).text(), /<p>idle(<!-- -->)? (<!-- -->)?connecting<\/p>/)
  const answer = await fetch(`http://127.0.0.1:${port}/server`)
  t.strictSame(await answer.json(), { transport: 'websocket', data: { n: 1 } })
})
