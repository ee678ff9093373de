import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { type Test, test } from 'tap'
import { createSSRApp, defineComponent, effectScope, h, isReactive, reactive, ref, shallowRef } from 'vue'
import { compileScript, parse } from 'vue/compiler-sfc'
import { renderToString } from 'vue/server-renderer'
import { type Client, connect } from '../../client/node.ts'
import { provideRoomcast, useRoom, useRoomcast, useStatus } from '../../client/vue/index.ts'
import { startBrowser } from '../support/browser.ts'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'

// Compiled tests are in dist/test/client/.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** Starts a client that closes with the test. */
function open (t: Test, { url }: Service): Client {
  const client = connect({ url, token: makeToken() })
  t.teardown(() => { client.close() })
  return client
}

async function post (service: Service, room: string, text: string): Promise<void> {
  await call(service, 'POST', `/v1/rooms/${room}/messages`, { body: { text } })
}

/** Calls composables in an effect scope, which ends with the test at the latest. */
function run<Result> (t: Test, use: () => Result): Result & { stop: () => void } {
  const scope = effectScope()
  t.teardown(() => { scope.stop() })
  return { ...scope.run(use) as Result, stop: () => { scope.stop() } }
}

const textsOf = (messages: readonly { text?: string | undefined }[]): unknown[] => messages.map(({ text }) => text)

test('a room is joined until the end of the scope, and its members are refs', async (t) => {
  const service = await startService(t)
  const client = open(t, service)
  await post(service, 'lobby', '1')
  await post(service, 'lobby', '2')
  const { messages, state, recovered, error, hasOlder, send, loadOlder, stop } = run(t, () => useRoom(client, 'lobby', { history: 1 }))
  t.equal(client.room('lobby').state, 'idle', 'it joins when it is mounted')
  await until(() => textsOf(messages.value).join() === '2')
  t.strictSame([state.value, recovered.value, error.value, hasOlder.value], ['joined', undefined, undefined, true])
  t.notOk(isReactive(messages.value), 'a large list has no proxies')
  await send({ n: 3 })
  await until(() => messages.value.length === 2)
  t.equal(await loadOlder(), false)
  await until(() => textsOf(messages.value)[0] === '1')
  stop()
  await until(() => client.room('lobby').state === 'idle', 'the room to be left')
})

test('another name begins without messages at once, and the former room is left', async (t) => {
  const service = await startService(t)
  const client = open(t, service)
  const name = ref<string | null>('one')
  const { messages, state, send } = run(t, () => useRoom(client, name))
  await until(() => state.value === 'joined')
  await send('hi')
  await until(() => messages.value.length === 1)
  name.value = 'other'
  t.strictSame([messages.value, state.value], [[], 'idle'])
  await until(() => state.value === 'joined' && client.room('one').state === 'idle')
  await send('there')
  await until(() => messages.value[0]?.room === 'other')
  name.value = null
  await until(() => client.room('other').state === 'idle')
  t.strictSame([messages.value, state.value], [[], 'idle'])
  await t.rejects(send('lost'), { code: 'not_joined' })
})

test('other options and another client begin anew', async (t) => {
  const service = await startService(t)
  const [first, second] = [open(t, service), open(t, service)]
  for (const text of ['1', '2', '3']) await post(service, 'lobby', text)
  const client = shallowRef<Client | undefined>()
  const history = ref(1)
  const { messages } = run(t, () => useRoom(client, 'lobby', () => ({ history: history.value })))
  client.value = first
  await until(() => textsOf(messages.value).join() === '3')
  history.value = 2
  await until(() => textsOf(messages.value).join() === '2,3')
  client.value = second
  t.strictSame(messages.value, [])
  await until(() => textsOf(messages.value).join() === '2,3')
  await until(() => first.room('lobby').state === 'idle')
})

test('a client in a reactive object still works', async (t) => {
  const service = await startService(t)
  const state = reactive({ client: open(t, service) }) as { client: Client }
  const room = run(t, () => ({ ...useRoom(() => state.client, 'lobby'), status: useStatus(() => state.client) }))
  await until(() => room.state.value === 'joined' && room.status.value.state === 'connected')
})

test('the status is a ref', async (t) => {
  const service = await startService(t)
  const client = open(t, service)
  const { status } = run(t, () => ({ status: useStatus(client) }))
  await until(() => status.value.state === 'connected')
  client.close()
  await until(() => status.value.state === 'closed')
  t.equal(useStatus(undefined).value.state, 'connecting')
})

test('a server renders a room that it does not join', async (t) => {
  const service = await startService(t)
  const client = open(t, service)
  const states: string[] = []
  client.room('lobby').on('state', (state) => { states.push(state) })
  const Page = defineComponent(() => {
    const { messages, state } = useRoom(useRoomcast(), 'lobby', { history: 10 })
    return () => h('p', `${state.value} ${messages.value.length}`)
  })
  const app = createSSRApp(defineComponent(() => {
    provideRoomcast(client)
    return () => h(Page)
  }))
  t.equal(await renderToString(app), '<p>idle 0</p>')
  await client.room('other').join()
  t.strictSame(states, [])
  await t.rejects(renderToString(createSSRApp(Page)), { message: /provideRoomcast/ })
})

/** Compiles the component of docs/vue.md. */
const documented: Plugin = {
  name: 'docs/vue.md',
  setup (build) {
    build.onResolve({ filter: /^docs\/vue\.md$/ }, ({ path }) => ({ path: join(ROOT, path), namespace: 'vue' }))
    build.onLoad({ filter: /./, namespace: 'vue' }, ({ path }) => {
      const [, component = ''] = /^```vue\n([^]*?)\n```$/m.exec(readFileSync(path, 'utf8')) ?? []
      const { descriptor, errors } = parse(component)
      if (errors.length > 0) throw errors[0]
      return { contents: compileScript(descriptor, { id: 'documented', inlineTemplate: true }).content, loader: 'js', resolveDir: ROOT }
    })
  }
}

test('the component of docs/vue.md works in Chromium', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const service = await startService(t)
  for (let i = 1; i <= 60; i++) await post(service, 'lobby', `message ${i}`)
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import { createApp } from 'vue'
        import { connect } from '@roomcast/client'
        import Chat from 'docs/vue.md'
        window.start = (url, token) => {
          const client = window.client = connect({ url, token })
          window.app = createApp(Chat, { client })
          window.app.mount(document.body)
        }
      `,
      resolveDir: ROOT
    },
    bundle: true,
    write: false,
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'false',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false'
    },
    plugins: [documented],
    alias: {
      '@roomcast/client/vue': join(ROOT, 'dist/client/vue/index.js'),
      '@roomcast/client': join(ROOT, 'dist/client/index.js')
    }
  })
  const page = await browser.newPage()
  page.on('pageerror', (error) => { t.error(error, 'the page throws nothing') })
  await page.addScriptTag({ content: outputFiles?.[0]?.text ?? '' })
  const start = ({ url, token }: { url: string, token: string }): void => {
    (window as Window & { start?: (url: string, token: string) => void }).start?.(url, token)
  }
  await page.evaluate(start, { url: service.url, token: makeToken() })
  await page.getByText('ada: message 60').waitFor()
  t.equal(await page.locator('li').count(), 50)
  await page.getByRole('button', { name: 'Earlier messages' }).click()
  await page.getByText('ada: message 10').waitFor()
  await page.getByRole('button', { name: 'Earlier messages' }).waitFor({ state: 'detached' })
  await page.getByLabel('Message').fill('from the page')
  await page.getByRole('button', { name: 'Send' }).click()
  await page.getByText('ada: from the page').waitFor()
  t.equal(await page.locator('li').count(), 61)
  await page.evaluate(() => { (window as Window & { app?: { unmount: () => void } }).app?.unmount() })
  await until(() => service.app.roomcast.hub.room('lobby') === undefined, 'the room to be left')
})
