import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { findHaproxy, findNginx } from '../debian.ts'
import { findFreePort } from '../free-port.ts'
import { call, type Client, connect, makeToken, SECRET, type Service, until } from '../helper.ts'
import { type ServiceProcess, startProcess } from '../service-process.ts'

/** What a connection may be idle for in these tests; heartbeats come every second. */
const IDLE_SECONDS = 3

/** A proxy that deploy/ has a configuration for. */
interface Product {
  name: string
  find: (t: Test) => string | undefined
  file: string
  /** Where it listens, and how long a connection may be idle, as they stand in the file. */
  listens: string
  idles: string
  /** Files in its folder that it logs to, beside its output. */
  logs: string[]
  /** What it needs to run in a folder, with as many files as anybody may open. */
  confine: (configuration: string, folder: string) => string
  parameters: (file: string, folder: string) => string[]
}

const PRODUCTS: Product[] = [{
  name: 'nginx',
  find: findNginx,
  file: 'nginx.conf',
  listens: 'listen 8080;',
  idles: 'proxy_read_timeout 60s;',
  logs: ['access.log', 'error.log'],
  confine: (configuration, folder) => {
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `  ${name}_temp_path ${folder}/${name};\n`)
    configuration = configuration.replaceAll('/var/log/nginx', folder)
    return replace(replace(configuration, 'http {\n', `http {\n${paths.join('')}`), 'worker_rlimit_nofile 65536;', '')
  },
  // As root, its workers would be somebody who cannot write to the folder.
  parameters: (file, folder) => ['-e', 'stderr', '-p', folder, '-c', file, '-g', `daemon off; pid ${folder}/pid;${process.getuid?.() === 0 ? ' user root;' : ''}`]
}, {
  name: 'HAProxy',
  find: findHaproxy,
  file: 'haproxy.cfg',
  listens: 'bind :8080',
  idles: 'timeout tunnel 60s',
  logs: [],
  confine: (configuration) => replace(configuration, 'maxconn 32768', 'maxconn 1024'),
  parameters: (file) => ['-db', '-f', file]
}]

function replace (text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`there is no ${from}`)
  return text.replace(from, to)
}

/** A proxy that runs, to be used like the service behind it. */
interface Proxy extends Service {
  /** All that it has logged. */
  output: () => string
}

/** Starts a proxy in front of two ports; ends it when the test is over. */
async function startProxy (t: Test, product: Product, program: string, [first, second]: [number, number]): Promise<Proxy> {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-proxy-'))
  const port = await findFreePort()
  // Compiled tests are in dist/test/system/.
  let configuration = readFileSync(new URL(`../../../deploy/${product.file}`, import.meta.url), 'utf8')
  configuration = replace(configuration, 'roomcast-1:3000', `127.0.0.1:${first}`)
  configuration = replace(configuration, 'roomcast-2:3000', `127.0.0.1:${second}`)
  configuration = replace(configuration, product.listens, product.listens.replace(':8080', `127.0.0.1:${port}`).replace(' 8080', ` 127.0.0.1:${port}`))
  configuration = replace(configuration, product.idles, product.idles.replace('60s', `${IDLE_SECONDS}s`))
  const file = join(folder, product.file)
  writeFileSync(file, product.confine(configuration, folder))

  const child = spawn(program, product.parameters(file, folder), { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += String(chunk) })
  const exited = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGTERM') // Not SIGKILL: the workers would stay.
    await exited
    rmSync(folder, { recursive: true })
  })
  const url = `http://127.0.0.1:${port}`
  let answered = false
  let ask = true
  await until(() => {
    if (child.exitCode !== null) throw new Error(`${product.name} did not start: ${output}`)
    if (ask) {
      ask = false
      void fetch(`${url}/health/ready`).then(() => { answered = true }, () => { ask = true })
    }
    return answered
  }, `${product.name} to listen`)
  return { url, port, output: () => output + product.logs.map((log) => readFileSync(join(folder, log), 'utf8')).join('') } as Proxy
}

async function startInstance (t: Test, environment: Record<string, string> = {}): Promise<ServiceProcess> {
  return await startProcess(t, { JWT_SECRET: SECRET, TRUST_PROXY: '1', ...environment })
}

/** A client that goes away when the test is over. */
async function open (t: Test, proxy: Proxy, options: Parameters<typeof connect>[1] = {}): Promise<Client> {
  const client = await connect(proxy, options)
  t.teardown(() => { client.ws.terminate() })
  return client
}

for (const product of PRODUCTS) {
  test(`behind ${product.name}`, async (t) => {
    const program = product.find(t)
    if (program === undefined) return

    await t.test('REST and WebSocket pass, large batches too', async (t) => {
      const instance = await startInstance(t)
      const proxy = await startProxy(t, product, program, [instance.port, instance.port])
      const client = await open(t, proxy, { query: 'room=lobby' })
      await client.next('joined')
      t.equal((await call(proxy, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'hello' } })).status, 201)
      t.match(await client.next('message'), { text: 'hello' })
      client.send({ type: 'chat', text: 'hi' })
      t.match(await client.next('message'), { text: 'hi' })
      const text = 'x'.repeat(60_000)
      t.equal((await call(proxy, 'POST', '/v1/messages', { body: { messages: Array.from({ length: 16 }, () => ({ room: 'lobby', text })) } })).status, 201)
      for (let count = 0; count < 16; count++) t.equal((await client.next('message')).text, text)
    })

    await t.test("the service sees the client's address, and not one that the client made up", async (t) => {
      const instance = await startInstance(t)
      const proxy = await startProxy(t, product, program, [instance.port, instance.port])
      await open(t, proxy, { localAddress: '127.0.0.5', headers: { 'x-forwarded-for': '203.0.113.9' } })
      await until(() => instance.stdout().includes('"remoteAddress":"127.0.0.5"'), 'the address in the log')
      t.notMatch(instance.stdout(), '203.0.113.9')
    })

    await t.test('no line of its log has the token of a URL, of connections that fail neither', async (t) => {
      const instance = await startInstance(t)
      const proxy = await startProxy(t, product, program, [instance.port, instance.port])
      const token = makeToken()
      const client = await open(t, proxy, { token })
      client.ws.close()
      await client.closed
      await until(() => / \/ws\b.* 101 /.test(proxy.output()), 'the line in the log')
      t.notMatch(proxy.output(), token)

      const failing = await startProxy(t, product, program, [await findFreePort(), await findFreePort()])
      t.match((await fetch(`${failing.url}/ws?token=${token}`)).status, /^50[23]$/)
      await until(() => / \/ws\b.* 50[23] /.test(failing.output()), 'the line in the log')
      t.notMatch(failing.output(), token)
    })

    await t.test('the heartbeat keeps an idle connection open', async (t) => {
      const [beating, silent] = await Promise.all([startInstance(t, { HEARTBEAT_SECONDS: '1' }), startInstance(t, { HEARTBEAT_SECONDS: '0' })])
      const [kept, cut] = await Promise.all([
        startProxy(t, product, program, [beating.port, beating.port]),
        startProxy(t, product, program, [silent.port, silent.port])
      ])
      const client = await open(t, kept)
      const other = await open(t, cut)
      await other.closed
      await once(client.ws, 'ping')
      await once(client.ws, 'ping')
      t.match(await client.ask({ type: 'ping' }), { type: 'pong' })
    })

    await t.test('when an instance goes down, all of its clients come back through the other one', async (t) => {
      const [staying, leaving] = await Promise.all([startInstance(t), startInstance(t, { DRAIN_WINDOW_MS: '1000' })])
      const proxy = await startProxy(t, product, program, [staying.port, leaving.port])
      const enter = async (): Promise<Client> => {
        const client = await open(t, proxy, { query: 'room=lobby' })
        await client.next('joined')
        return client
      }
      const audience = async (service: ServiceProcess): Promise<number> => (await call(service as unknown as Service, 'GET', '/v1/rooms/lobby')).body.audience
      const clients = await Promise.all(Array.from({ length: 10 }, enter))
      const leavers = await audience(leaving)
      t.ok(leavers > 0 && leavers < 10, 'they are spread over both')

      const ends: object[] = []
      const back: Promise<Client>[] = []
      for (const client of clients) {
        void client.closed.then((end) => {
          if (back.length === leavers) return // The test is over.
          ends.push(end)
          back.push(enter()) // At once, while the instance that it came from still listens.
        })
      }
      leaving.child.kill('SIGTERM')
      t.equal(await leaving.exited, 0)
      await until(() => back.length === leavers, 'those who were there to be closed')
      t.strictSame(ends, Array.from({ length: leavers }, () => ({ code: 1001, reason: 'Server going down' })))
      await Promise.all(back)
      t.match(leaving.stdout(), '"statusCode":503', 'it was asked for some of them, and refused')
      t.equal(await audience(staying), 10)
      await enter() // With nobody listening there any more.
      await enter()
    })
  })
}
