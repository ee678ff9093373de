import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import tap, { test } from 'tap'
import { packClient, unpack } from '../support/client-package.ts'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'

const run = promisify(execFile)
// Compiled tests are in dist/test/client/.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

const PUBLISHED = /^(package\.json|README\.md|LICENSE|dist\/[\w-]+\.(js|cjs|d\.ts|d\.cts|js\.map|cjs\.map))$/
const ENTRIES = ['index', 'react', 'vue', 'svelte', 'tabs', 'publisher', 'testing']

// An empty project with the packed client. Its other packages are those of this project.
const folder = await mkdtemp(join(tmpdir(), 'roomcast-client-'))
tap.teardown(async () => { await rm(folder, { recursive: true, force: true }) })
const { archive, files } = await packClient(folder)
const installed = join(folder, 'node_modules/@roomcast/client')
await unpack(archive, installed)
for (const name of await readdir(join(ROOT, 'node_modules'))) {
  if (!name.startsWith('.') && !name.includes('roomcast')) {
    await symlink(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name))
  }
}
await writeFile(join(folder, 'package.json'), '{"type":"module"}')

const readManifest = (path: string): Record<string, unknown> => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
const read = (path: string): string => readFileSync(join(installed, path), 'utf8')

/** Bundles a script of the project as a bundler for browsers does. */
async function bundle (contents: string): Promise<{ code: string, inputs: string[] }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: folder }, bundle: true, minify: true, write: false, metafile: true, format: 'esm', logLevel: 'error'
  })
  return { code: outputFiles[0]?.text ?? '', inputs: Object.keys(metafile.inputs) }
}

test('the package of the client has its entries in both module systems with their types, and nothing else', (t) => {
  t.strictSame(files.filter((path) => !PUBLISHED.test(path)), [])
  for (const entry of [...ENTRIES, 'node']) {
    for (const extension of ['js', 'cjs']) t.ok(files.includes(`dist/${entry}.${extension}`), `${entry}.${extension}`)
  }
  for (const entry of ENTRIES) {
    for (const extension of ['d.ts', 'd.cts']) t.ok(files.includes(`dist/${entry}.${extension}`), `${entry}.${extension}`)
  }
  for (const path of ['README.md', 'LICENSE']) t.ok(files.includes(path), path)
  t.equal(read('LICENSE'), readFileSync(join(ROOT, 'LICENSE'), 'utf8'))
  t.end()
})

test('the client and the service have the same version', (t) => {
  const [client, service] = [readManifest(join(installed, 'package.json')), readManifest(join(ROOT, 'package.json'))]
  t.equal(client.version, service.version)
  t.end()
})

test('the package refers to ws in Node, to React in the hooks, to Vue in the composables, and to nothing else outside of it', (t) => {
  const imported = new Map<string, string[]>()
  for (const path of files.filter((path) => /\.c?[jt]s$/.test(path))) {
    for (const [, name = ''] of read(path).matchAll(/(?:\bfrom |\bimport |\b(?:import|require)\()["']([^"']+)["']/g)) {
      const target = /\.d\.c?ts$/.test(path) ? name.replace(/(c?)js$/, 'd.$1ts') : name
      if (name.startsWith('./')) t.ok(files.includes(join('dist', target)), `${path} has ${name}`)
      else imported.set(name, [...imported.get(name) ?? [], path])
    }
  }
  t.strictSame(Object.fromEntries([...imported].map(([name, paths]) => [name, paths.sort()])), {
    ws: ['dist/node.cjs', 'dist/node.js'],
    react: ['dist/react.cjs', 'dist/react.d.cts', 'dist/react.d.ts', 'dist/react.js'],
    vue: ['dist/vue.cjs', 'dist/vue.d.cts', 'dist/vue.d.ts', 'dist/vue.js']
  })
  const { dependencies, peerDependencies, peerDependenciesMeta } = readManifest(join(installed, 'package.json'))
  t.strictSame(dependencies, { ws: '^8.23.0' })
  t.strictSame(peerDependenciesMeta, Object.fromEntries(Object.keys(peerDependencies as object).map((name) => [name, { optional: true }])))
  t.end()
})

test('source maps have their sources inside', (t) => {
  const maps = files.filter((path) => path.endsWith('.map'))
  // The entry `index` only exports from other files.
  t.strictSame(maps, files.filter((path) => /\.c?js$/.test(path) && !path.startsWith('dist/index.')).map((path) => `${path}.map`))
  for (const path of maps) {
    const { sources, sourcesContent } = JSON.parse(read(path)) as { sources: string[], sourcesContent: string[] }
    t.not(sources.length, 0, path)
    for (const [i, source] of sources.entries()) t.equal(sourcesContent[i], readFileSync(join(ROOT, 'client/dist', source), 'utf8'), source)
    t.match(read(path.replace(/\.map$/, '')), `sourceMappingURL=${path.replace('dist/', '')}`)
  }
  t.end()
})

test('an import that is not used costs nothing in a bundle', async (t) => {
  for (const [name, entry] of [
    ['connect', ''], ['useRoom', '/react'], ['useRoom', '/vue'], ['roomStore', '/svelte'], ['connect', '/tabs'],
    ['createPublisher', '/publisher'], ['twin', '/testing']
  ] as const) {
    const { code } = await bundle(`import { ${name} } from '@roomcast/client${entry}'\nimport '@roomcast/client${entry}'`)
    t.equal(code.trim(), '', `${name} of @roomcast/client${entry}`)
  }
  const { code } = await bundle("import { connect } from '@roomcast/client'\nconnect({})")
  t.ok(code.length > 10_000, 'and one that is used is there')
})

test('a bundle for browsers has nothing but the client', async (t) => {
  for (const [name, entry] of [
    ['connect', ''], ['roomStore', '/svelte'], ['connect', '/tabs'], ['createPublisher', '/publisher'], ['twin', '/testing']
  ] as const) {
    const { inputs } = await bundle(`import { ${name} } from '@roomcast/client${entry}'\nconsole.log(${name})`)
    t.strictSame(inputs.filter((input) => input !== '<stdin>' && !input.includes('@roomcast/client/dist/')), [])
  }
})

test('the script of the worker is one file, for a module and for a classic script, and a bundler keeps it', async (t) => {
  t.notMatch(read('dist/tabs-worker.js'), /\b(?:import|export|require)\b/)
  const { code } = await bundle("import '@roomcast/client/tabs/worker'")
  t.match(code, 'addEventListener("connect"')
})

test('event streams are a chunk of their own', async (t) => {
  const { outputFiles } = await build({
    stdin: { contents: "import { connect } from '@roomcast/client'\nconsole.log(connect)", resolveDir: folder },
    bundle: true,
    splitting: true,
    format: 'esm',
    outdir: folder,
    write: false
  })
  const main = outputFiles.find(({ path }) => path.endsWith('stdin.js'))?.text ?? ''
  t.notMatch(main, /text\/event-stream|readEvents/)
  t.match(main, /import\("\.\/event-stream-link-/)
})

/** Uses the client, the adapters and the publisher; `IMPORTS` stands for their imports. It ends when nothing keeps the process. */
const SCRIPT = `
  IMPORTS
  async function main (url, token) {
    const client = connect({ url, token })
    const lobby = client.room('lobby')
    const iterator = lobby[Symbol.asyncIterator]()
    await lobby.join()
    const publisher = createPublisher({ url, token })
    const [message] = await Promise.all([iterator.next(), publisher.publish('lobby', { data: { n: 1 } }), lobby.history()])
    const refused = await client.room('no such name').join().catch((error) => error instanceof RoomcastError && error.code)
    const isRefused = await createPublisher({ url, token: 'none' })
      .publish('lobby', { text: 'hi' })
      .catch((error) => error instanceof RoomcastError)
    const values = []
    roomStore(client, 'svelte').subscribe(({ state }) => { values.push(state) })()
    effectScope().run(() => values.push(vue.useRoom(client, 'vue').state.value))
    client.close()
    const Page = () => [useRoom('lobby').state, useConnection().state, useWebSocket(null).isConnected].join()
    const html = renderToString(createElement(RoomcastProvider, { url, token }, createElement(Page)))
    console.log(JSON.stringify({ data: message.value.data, refused, isRefused, values, html }))
  }
  main(...process.argv.slice(2))
`
const IMPORTED = [
  ['{ createElement }', 'react'],
  ['{ renderToString }', 'react-dom/server'],
  ['{ connect, RoomcastError }', '@roomcast/client'],
  ['{ effectScope }', 'vue'],
  ['{ createPublisher }', '@roomcast/client/publisher'],
  ['{ roomStore }', '@roomcast/client/svelte'],
  ['vue', '@roomcast/client/vue'],
  ['{ RoomcastProvider, useConnection, useRoom, useWebSocket }', '@roomcast/client/react']
]

for (const [file, toImport] of [
  ['client.mjs', (names: string, from: string) => `import ${names.startsWith('{') ? names : `* as ${names}`} from '${from}'`],
  ['client.cjs', (names: string, from: string) => `const ${names} = require('${from}')`]
] as const) {
  const kind = file.endsWith('.mjs') ? 'an ES module' : 'a CommonJS module'

  test(`the client, the hooks and the publisher work in ${kind} of Node`, async (t) => {
    const service = await startService(t)
    const imports = IMPORTED.map(([names = '', from = '']) => toImport(names, from)).join('\n')
    await writeFile(join(folder, file), SCRIPT.replace('IMPORTS', imports))
    // The process ends: a closed client keeps neither sockets nor timers.
    const { stdout } = await run(process.execPath, [file, service.url, makeToken()], { cwd: folder })
    t.strictSame(JSON.parse(stdout), {
      data: { n: 1 }, refused: 'invalid_room', isRefused: true, values: ['idle', 'idle'], html: 'idle,connecting,false'
    })
  })

  test(`in a simulated page, ${kind} of Node connects with the WebSocket of the page`, async (t) => {
    await writeFile(join(folder, `page-${file}`), `
      ${toImport('{ connect }', '@roomcast/client')}
      Object.assign(globalThis, {
        document: new EventTarget(),
        addEventListener () {},
        removeEventListener () {},
        fetch: undefined,
        WebSocket: class {
          constructor (url) {
            console.log(url.replace(/\\?.*/, ''))
            setTimeout(() => { client.close() })
          }
          close () {}
        }
      })
      const client = connect({ url: 'http://page.example', token: 'token' })
    `)
    const { stdout } = await run(process.execPath, [`page-${file}`], { cwd: folder })
    t.equal(stdout, 'ws://page.example/ws\n')
  })
}

const PAGE = `
  import { createElement } from 'react'
  import { connect, type Client, type Events, type Message, type Room, type Status } from '@roomcast/client'
  import { createPublisher } from '@roomcast/client/publisher'
  import { RoomcastProvider, useConnection, useRoom, useWebSocket } from '@roomcast/client/react'
  import { twin, type Twin } from '@roomcast/client/testing'
  import { connect as connectTabs } from '@roomcast/client/tabs'
  import { roomStore, statusStore } from '@roomcast/client/svelte'
  import { useRoom as useVueRoom, useRoomcast, useStatus } from '@roomcast/client/vue'

  interface Chat { text: string }
  interface Order { id: number }
  interface Rooms { lobby: Chat, [order: \`orders:\${string}\`]: Order }

  export const client: Client<Rooms> = connect<Rooms>({ url: '/realtime', token: async () => 'token' })
  export const shared: Client<Rooms> = connectTabs<Rooms>({ url: '/realtime', token: 'token', worker: '/worker.js' })
  export const status: Status = client.status
  export const lobby: Room<Chat> = client.room('lobby')
  export const order: Room<Order> = client.room('orders:7')
  export const other: Room<unknown> = client.room('other')
  export async function talk (): Promise<number | undefined> {
    const stop: () => void = lobby.on('message', ({ id, data, text, bytes }) => {
      console.log(id.length, data?.text.length ?? text?.length ?? bytes?.byteLength)
    })
    lobby.on('reset', ({ reason }) => { const known: 'epoch' | 'history' = reason; console.log(known) })
    for await (const { data } of order) console.log(data?.id.toFixed())
    stop()
    // @ts-expect-error it is a Chat
    await lobby.publish({ id: 1 })
    await lobby.publish(new ArrayBuffer(1))
    await lobby.join({ load: async (position, { signal }) => { console.log(position?.offset, signal.aborted) } })
    const last: Message<Chat> | undefined = (await lobby.history({ limit: 1 })).messages[0]
    return (await lobby.publish({ text: 'hi' }, { event: 'said' })).offset ?? last?.offset
  }
  type Shop = Events<{ 'order.paid': { amount: number }, 'order.sent': { parcel: string } }>
  export async function sell (): Promise<void> {
    const shop = connect<{ shop: Shop }>({ url: '/realtime', token: 'token', autoConnect: false, log: console.debug }).room('shop')
    shop.on('order.paid', ({ event, data }) => { const name: 'order.paid' = event; console.log(name, data?.amount.toFixed()) })
    shop.on('message', (message) => {
      if (message.event === 'order.sent') console.log(message.data?.parcel.length)
    })
    // @ts-expect-error there is no such event
    shop.on('order.lost', () => {})
    await shop.publish({ amount: 1 }, { event: 'order.paid' })
    // @ts-expect-error it has an amount
    await shop.publish({ parcel: 'p' }, { event: 'order.paid' })
  }
  export function Page (): string {
    const { messages, send, state, recovered } = useRoom<Chat>('lobby', { history: 10 })
    void send({ text: 'hi' })
    const socket = useWebSocket('wss://example.com', { raw: true })
    const failure: Error | undefined = socket.error
    const { data } = messages[0] ?? {}
    return [data?.text.length, messages[0]?.id, state, recovered, useConnection().retryAt, socket.isConnected, failure].join()
  }
  type Market = Events<{ paid: { sum: number }, shipped: { place: string } }>
  export function ShopPage (): string {
    const { messages, hasOlder, loadOlder, send } = useRoom<Market>('shop')
    const more: Promise<boolean> = loadOlder()
    void send({ sum: 1 }, { event: 'paid' })
    void send(new Uint8Array(1), { event: 'paid' })
    // @ts-expect-error it is not the payload of the event
    void send({ place: 'x' }, { event: 'paid' })
    // @ts-expect-error there is no such event
    void send({ sum: 1 }, { event: 'lost' })
    return messages.map((message) => {
      const key: string = message.id
      if (message.event === 'paid') return key + message.data?.sum.toFixed()
      const shipped: 'shipped' = message.event
      return shipped + message.data?.place.length
    }).join() + String(hasOlder) + String(more)
  }
  const { messages: refs, send: sendRef } = useVueRoom(client, () => 'lobby' as const, () => ({ history: 10 }))
  export const length: number | undefined = refs.value[0]?.data?.text.length
  void sendRef({ text: 'hi' })
  // @ts-expect-error it is a Chat
  void sendRef({ id: 1 })
  export const unknownData: unknown = useVueRoom(useRoomcast(), 'lobby').messages.value[0]?.data
  export const state: Status['state'] = useStatus(() => client).value.state
  export const id: number | undefined = useVueRoom(useRoomcast<Rooms>(), 'orders:7').messages.value[0]?.data?.id
  const orders = roomStore(client, 'orders:7', { limit: 10 })
  export const stop: () => void = orders.subscribe(({ messages, state }) => { console.log(messages[0]?.data?.id.toFixed(), state) })
  // @ts-expect-error it is an Order
  void orders.send({ text: 'hi' })
  export const stopStatus: () => void = statusStore(client).subscribe(({ reason }) => { console.log(reason) })
  export const app = createElement(RoomcastProvider, { client }, createElement(Page))
  export const own = createElement(RoomcastProvider, { url: '/realtime', token: () => 'token' })
  const publisher = createPublisher<Rooms>({ url: 'https://example.com', token: 'token' })
  export const published: Promise<number | undefined> = publisher.publish('lobby', { data: { text: 'hi' } }).then(({ offset }) => offset)
  export async function rehearse (): Promise<number | undefined> {
    const service: Twin = await twin({ history: 10 })
    const ada: Client<Rooms> = service.connect<Rooms>('ada')
    await service.advance('1h')
    // @ts-expect-error it has no unit
    await service.advance('1')
    createElement(RoomcastProvider, service.options('ada'), createElement(Page))
    return (await service.publish('lobby', { text: ada.status.state })).offset
  }
  // @ts-expect-error it is an Order
  void publisher.publish('orders:7', { data: { text: 'hi' } })
`

for (const [resolution, file, options] of [
  ['bundler', 'page.ts', { module: 'esnext', moduleResolution: 'bundler' }],
  ['node16, in an ES module', 'page.mts', { module: 'node16', moduleResolution: 'node16' }],
  ['node16, in a CommonJS module', 'page.cts', { module: 'node16', moduleResolution: 'node16' }],
  ['node10', 'page.ts', { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' }]
] as const) {
  test(`TypeScript finds the types with the module resolution ${resolution}`, async (t) => {
    const site = await mkdtemp(join(folder, 'site-'))
    await writeFile(join(site, file), PAGE)
    await writeFile(join(site, 'tsconfig.json'), JSON.stringify({
      compilerOptions: {
        target: 'es2022',
        lib: ['es2022', 'dom', 'dom.asynciterable'],
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        skipLibCheck: false,
        types: ['react'],
        ...options
      },
      files: [file]
    }))
    const { stdout } = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', site]).catch((error: unknown) => error as { stdout: string })
    t.equal(stdout, '')
  })
}
