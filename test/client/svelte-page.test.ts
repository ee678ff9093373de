import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { compile } from 'svelte/compiler'
import { test } from 'tap'
import { startBrowser } from '../support/browser.ts'
import { call, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'

// Compiled tests are in dist/test/client/.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** Compiles the component of docs/svelte.md. */
const documented: Plugin = {
  name: 'docs/svelte.md',
  setup (build) {
    build.onResolve({ filter: /^docs\/svelte\.md$/ }, ({ path }) => ({ path: join(ROOT, path), namespace: 'svelte' }))
    build.onLoad({ filter: /./, namespace: 'svelte' }, ({ path }) => {
      const [, component = ''] = /^```svelte\n([^]*?)\n```$/m.exec(readFileSync(path, 'utf8')) ?? []
      return { contents: compile(component, { name: 'Chat', generate: 'client' }).js.code, loader: 'js', resolveDir: ROOT }
    })
  }
}

test('the component of docs/svelte.md works in Chromium', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const service = await startService(t)
  for (let i = 1; i <= 60; i++) await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: `message ${i}` } })
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import { mount, unmount } from 'svelte'
        import { connect } from '@roomcast/client'
        import Chat from 'docs/svelte.md'
        window.start = (url, token) => {
          const props = { client: connect({ url, token }), name: 'lobby' }
          const chat = mount(Chat, { target: document.body, props })
          window.end = () => unmount(chat)
        }
      `,
      resolveDir: ROOT
    },
    bundle: true,
    write: false,
    conditions: ['browser'],
    plugins: [documented],
    alias: {
      '@roomcast/client/svelte': join(ROOT, 'dist/client/svelte/index.js'),
      '@roomcast/client': join(ROOT, 'dist/client/index.js')
    }
  })
  const page = await browser.newPage()
  page.on('pageerror', (error) => { t.error(error, 'the page throws nothing') })
  await page.addScriptTag({ content: outputFiles?.[0]?.text ?? '' })
  await page.evaluate(({ url, token }) => {
    (window as Window & { start?: (url: string, token: string) => void }).start?.(url, token)
  }, { url: service.url, token: makeToken() })
  await page.getByText('ada: message 60').waitFor()
  t.equal(await page.locator('li').count(), 50)
  await page.getByRole('button', { name: 'Earlier messages' }).click()
  await page.getByText('ada: message 10').waitFor()
  await page.getByRole('button', { name: 'Earlier messages' }).waitFor({ state: 'detached' })
  await page.getByLabel('Message').fill('from the page')
  await page.getByRole('button', { name: 'Send' }).click()
  await page.getByText('ada: from the page').waitFor()
  t.equal(await page.locator('li').count(), 61)
  await page.evaluate(async () => { await (window as Window & { end?: () => Promise<void> }).end?.() })
  await until(() => service.app.roomcast.hub.room('lobby') === undefined, 'the room to be left')
})
