import { test } from 'tap'
import type { twin as start } from '../../../client/testing/index.ts'
import { openSdk, serveSdk, startBrowser } from '../../support/browser.ts'

test('the twin works in a browser', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const page = await openSdk(browser, await serveSdk(t))
  await page.addScriptTag({ type: 'module', content: 'import { twin } from "/client/testing/index.js"; window.twin = twin' })
  await page.waitForFunction('window.twin !== undefined')
  const seen = await page.evaluate(async () => {
    const { twin } = window as unknown as { twin: typeof start }
    const service = await twin({ epoch: 'e' })
    const ada = service.connect('ada')
    const lobby = ada.room('lobby')
    const messages: unknown[] = []
    lobby.on('message', ({ data, bytes }) => { messages.push(bytes === undefined ? data : [...bytes]) })
    await lobby.join()
    await lobby.publish('from the page')
    await service.publish('lobby', { bytes: new Uint8Array([1, 2]) })
    const { wall } = service.clock
    const before = wall.call(service.clock)
    await service.advance('1h')
    const { state } = ada.status
    await service.cut('ada')
    const states = [state, ada.status.state]
    await service.close()
    return { messages, states, elapsed: wall.call(service.clock) - before }
  })
  t.strictSame(seen, { messages: ['from the page', [1, 2]], states: ['connected', 'waiting'], elapsed: 3_600_000 })
})
