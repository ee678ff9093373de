import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test, type Test } from 'tap'
import { WebSocket } from 'ws'
import { unpack } from './support/client-package.ts'
import { Client } from './support/websocket-client.ts'
import { spawnProgram } from './support/service-process.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What every published file starts with. */
const PUBLISHED = /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|\.env\.example|docs\/.*|dist\/(src|plugins|routes)\/.*)$/

/** An empty project that has installed the packed package; its dependencies are the ones that are here. */
async function startProject (t: Test): Promise<{ folder: string, files: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'roomcast-package-'))
  t.teardown(async () => { await rm(folder, { recursive: true, force: true }) })
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT })
  const [{ filename, files }] = JSON.parse(stdout) as [{ filename: string, files: { path: string }[] }]
  const modules = join(folder, 'node_modules')
  await mkdir(modules)
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (!name.startsWith('.') && !name.includes('roomcast')) await symlink(join(ROOT, 'node_modules', name), join(modules, name))
  }
  await unpack(join(folder, filename), join(modules, 'roomcast'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  return { folder, files: files.map(({ path }) => path) }
}

test('the package of the service has what it promises and nothing else, and works where it is installed', async (t) => {
  const { folder, files } = await startProject(t)
  t.strictSame(files.filter((path) => !PUBLISHED.test(path)), [])
  for (const path of ['dist/src/app.js', 'dist/src/app.d.ts', 'dist/src/server.js', 'docs/protocol.md', 'README.md', 'LICENSE']) {
    t.ok(files.includes(path), path)
  }

  await t.test('from JavaScript', async (t) => {
    await writeFile(join(folder, 'app.js'), `
      import Fastify from 'fastify'
      import roomcast, { InvalidConfig, readConfig, RoomcastError } from 'roomcast'
      const app = Fastify()
      await app.register(roomcast, { prefix: '/realtime', config: readConfig({ JWT_SECRET: 'a secret' }) })
      await app.ready()
      const { position } = await app.rooms.publish('lobby', { text: 'hi' })
      await app.close()
      console.log(JSON.stringify({ offset: position.offset, errors: [typeof InvalidConfig, typeof RoomcastError] }))
    `)
    const { stdout } = await run(process.execPath, ['app.js'], { cwd: folder })
    t.strictSame(JSON.parse(stdout), { offset: 1, errors: ['function', 'function'] })
  })

  await t.test('from TypeScript, beside decorators of the application that have the same names', async (t) => {
    await writeFile(join(folder, 'app.ts'), `
      import Fastify, { type FastifyInstance } from 'fastify'
      import roomcast, { type Content, type Published, readConfig, RoomcastError, type RoomcastOptions } from 'roomcast'

      declare module 'fastify' {
        interface FastifyInstance {
          config: { mine: true }
          hub: string
          broker: number
          shutdown: () => void
        }
      }

      const options: RoomcastOptions = { prefix: '/realtime', config: readConfig({ JWT_SECRET: 'a secret' }), docs: false }
      export async function build (): Promise<FastifyInstance> {
        const app = Fastify()
        await app.register(roomcast, options)
        const content: Content = { event: 'shipped', data: { id: 1 } }
        const published: Published = await app.rooms.publish('lobby', content, { key: 'k' })
        const offset: number | undefined = published.position?.offset
        if (offset === undefined) throw new RoomcastError('internal')
        const open: number = app.roomcast.hub.connections.size
        if (open > 0) await app.roomcast.shutdown.drain()
        // @ts-expect-error there is no such content
        await app.rooms.publish('lobby', { kind: 'none' })
        return app
      }
    `)
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({
      compilerOptions: { target: 'es2022', module: 'nodenext', strict: true, noEmit: true, skipLibCheck: false, types: ['node'] },
      files: ['app.ts']
    }))
    const { stdout } = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder]).catch((error: unknown) => error as { stdout: string })
    t.equal(stdout, '')
  })

  await t.test('as a program', async (t) => {
    const service = await spawnProgram(t, join(folder, 'node_modules/roomcast/dist/src/server.js'), { JWT_SECRET: 'a secret' })
    t.match(await (await fetch(`${service.url}/health/ready`)).json(), { status: 'ready' })
    t.equal((await fetch(`${service.url}/docs/static/index.html`)).status, 200)
  })

  await t.test('the example of an application around it', async (t) => {
    await cp(join(ROOT, 'examples/embedded'), join(folder, 'shop'), { recursive: true, filter: (path) => !path.includes('node_modules') })
    await writeFile(join(folder, 'shop.js'), `
      import { buildShop } from './shop/app.js'
      const app = await buildShop()
      console.log('listens on ' + await app.listen({ port: 0, host: '127.0.0.1' }))
    `)
    const { url } = await spawnProgram(t, join(folder, 'shop.js'), {})
    const post = async (path: string, body?: object, token = '') => await (await fetch(url + path, {
      method: 'POST',
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: JSON.stringify(body) })
    })).json() as Record<string, unknown>
    const token = String((await post('/sign-in', { user: 'ada' })).token)
    const ws = new WebSocket(`${url.replace('http', 'ws')}/realtime/ws?room=orders:ada&token=${token}`)
    const client = new Client(ws)
    await client.next('joined')
    t.match(await post('/orders/42/ship', undefined, token), { id: '42', offset: 1 })
    t.match(await client.next('message'), { room: 'orders:ada', from: 'server', event: 'shipped', data: { id: '42' } })
    t.match(await client.ask({ type: 'publish', room: 'orders:ada', data: 1 }), { type: 'error', code: 'forbidden' })
    const echo = new WebSocket(`${url.replace('http', 'ws')}/echo`)
    await new Promise((resolve) => { echo.once('open', resolve) })
    const answer = new Promise((resolve) => { echo.once('message', (data) => { resolve(String(data)) }) })
    echo.send('hi')
    t.equal(await answer, 'hi')
    ws.close()
    echo.close()
  })
})
