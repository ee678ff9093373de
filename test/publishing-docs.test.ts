import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { type Test, test } from 'tap'
import { Gateway, problem } from './client/gateway.ts'
import { findPython } from './support/debian.ts'
import { call, type Service, startService } from './support/service.ts'
import { makeToken } from './support/token.ts'
import { connect } from './support/websocket-client.ts'

// Compiled tests are in dist/test/.
const DOCUMENT = new URL('../../docs/publishing.md', import.meta.url)

const run = promisify(execFile)

/** What stands in docs/publishing.md under the heading of a language. */
function readSnippet (heading: string): string {
  const [, after = ''] = readFileSync(DOCUMENT, 'utf8').split(`\n### ${heading}\n`)
  const [, text = ''] = /^```\w+\n([^]*?)\n```$/m.exec(after) ?? []
  return text
}

/** Runs a snippet against a service: as it is, over a bad network, and without a grant. */
async function checkSnippet (t: Test, command: string, parameters: string[]): Promise<void> {
  const runAgainst = async (url: string, token = makeToken()) =>
    await run(command, parameters, { env: { PATH: process.env.PATH, ROOMCAST_URL: url, ROOMCAST_TOKEN: token } })

  await t.test('it publishes', async (t) => {
    const service = await startService(t)
    const client = await connect(service, { query: 'room=lobby' })
    await client.next('joined')
    await runAgainst(service.url)
    t.match(await client.next('message'), { room: 'lobby', text: 'Order 7 was shipped' })
  })

  await t.test('it tries again until it is answered, and makes one message', async (t) => {
    const service = await startService(t)
    const gateway = await Gateway.start(t, service)
    gateway.faults.push('lose', problem(503, 'unavailable', { retryAfterMs: 1_000 }), { status: 429, headers: { 'retry-after': '0' } })
    await runAgainst(gateway.url)
    t.equal(gateway.seen.length, 4)
    t.equal(new Set(gateway.keys).size, 1)
    t.match(await history(service), [{ text: 'Order 7 was shipped' }])
  })

  await t.test('it does not repeat what is refused, and fails', async (t) => {
    const service = await startService(t)
    const gateway = await Gateway.start(t, service)
    const error = await runAgainst(gateway.url, makeToken({ rooms: {} })).then(
      () => undefined,
      (error: unknown) => error as { stderr: string }
    )
    t.match(error?.stderr, /"code":"forbidden"/)
    t.equal(gateway.seen.length, 1)
  })
}

async function history (service: Service): Promise<unknown[]> {
  return (await call(service, 'GET', '/v1/rooms/lobby/messages')).body.messages
}

test('the Python of docs/publishing.md', async (t) => {
  const python = findPython(t)
  if (python === undefined) return
  await checkSnippet(t, python, ['-c', readSnippet('Python')])
})

test('the curl of docs/publishing.md', async (t) => {
  await checkSnippet(t, 'sh', ['-c', readSnippet('curl')])
})
