import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { findHaproxy, findNginx } from './debian.ts'
import { findFreePort } from './free-port.ts'
import type { Service } from './service.ts'
import { until } from './until.ts'

/** What a connection may be idle for in these tests; heartbeats come every second. */
export const IDLE_SECONDS = 3

/** A proxy that deploy/ has a configuration for. */
export interface Product {
  name: string
  find: (t: Test) => string | undefined
  file: string
  /** Where it listens, and how long connections may be idle, as they stand in the file. */
  listens: string
  idles: string[]
  /** What lets WebSockets through, and what stands there where nobody thought of them. */
  upgrades: [string, string][]
  /** Files in its folder that it logs to, beside its output. */
  logs: string[]
  /** What it needs to run in a folder, with as many files as anybody may open. */
  confine: (configuration: string, folder: string) => string
  parameters: (file: string, folder: string) => string[]
}

/** The ones that there are. */
export const PRODUCTS: Product[] = [{
  name: 'nginx',
  find: findNginx,
  file: 'nginx.conf',
  listens: 'listen 8080;',
  idles: ['proxy_read_timeout 60s;'],
  upgrades: [
    ['proxy_set_header Upgrade $http_upgrade;', ''],
    ['proxy_set_header Connection $connection_upgrade;', "proxy_set_header Connection '';"]
  ],
  logs: ['access.log', 'error.log'],
  confine: (configuration, folder) => {
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `  ${name}_temp_path ${folder}/${name};\n`)
    configuration = configuration.replaceAll('/var/log/nginx', folder)
    return replace(replace(configuration, 'http {\n', `http {\n${paths.join('')}`), 'worker_rlimit_nofile 65536;', '')
  },
  // As root, its workers would be somebody who cannot write to the folder.
  parameters: (file, folder) => [
    '-e', 'stderr', '-p', folder, '-c', file, '-g', `daemon off; pid ${folder}/pid;${process.getuid?.() === 0 ? ' user root;' : ''}`
  ]
}, {
  name: 'HAProxy',
  find: findHaproxy,
  file: 'haproxy.cfg',
  listens: 'bind :8080',
  idles: ['timeout tunnel 60s', 'timeout client 60s', 'timeout server 60s'],
  upgrades: [['  default_backend roomcast\n', '  http-request del-header Upgrade\n  default_backend roomcast\n']],
  logs: [],
  confine: (configuration) => replace(configuration, 'maxconn 32768', 'maxconn 1024'),
  parameters: (file) => ['-db', '-f', file]
}]

function replace (text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`there is no ${from}`)
  return text.replace(from, to)
}

/** A proxy that runs, to be used like the service behind it. */
export interface Proxy extends Service {
  /** All that it has logged. */
  output: () => string
  /** Ends it, and resolves when it has. */
  stop: () => Promise<void>
}

export interface ProxyOptions {
  /** A free one, if not given. */
  port?: number
  /** Whether WebSockets get through; they do unless false. */
  upgrades?: boolean
}

/** Starts a proxy in front of two ports; ends it when the test is over. */
export async function startProxy (
  t: Test,
  product: Product,
  program: string,
  [first, second]: [number, number],
  options: ProxyOptions = {}
): Promise<Proxy> {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-proxy-'))
  const { port = await findFreePort(), upgrades = true } = options
  // Compiled tests are in dist/test/.
  let configuration = readFileSync(new URL(`../../../deploy/${product.file}`, import.meta.url), 'utf8')
  configuration = replace(configuration, 'roomcast-1:3000', `127.0.0.1:${first}`)
  configuration = replace(configuration, 'roomcast-2:3000', `127.0.0.1:${second}`)
  configuration = replace(
    configuration,
    product.listens,
    product.listens.replace(':8080', `127.0.0.1:${port}`).replace(' 8080', ` 127.0.0.1:${port}`)
  )
  for (const idles of product.idles) configuration = replace(configuration, idles, idles.replace('60s', `${IDLE_SECONDS}s`))
  if (!upgrades) for (const [from, to] of product.upgrades) configuration = replace(configuration, from, to)
  const file = join(folder, product.file)
  writeFileSync(file, product.confine(configuration, folder))

  const child = spawn(program, product.parameters(file, folder), { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += String(chunk) })
  const exited = once(child, 'close')
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM') // Not SIGKILL: the workers would stay.
    await exited
  }
  t.teardown(async () => {
    await stop()
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
  return { url, port, stop, output: () => output + product.logs.map((log) => readFileSync(join(folder, log), 'utf8')).join('') } as Proxy
}
