import { once } from 'node:events'
import { test } from 'tap'
import { WebSocket } from 'ws'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'
import { close, connect } from '../support/websocket-client.ts'

/** How many timers and TCP sockets the process has open, the test's own too. */
function resources (): { timers: number, sockets: number } {
  const active = process.getActiveResourcesInfo()
  return {
    timers: active.filter((name) => name === 'Timeout').length,
    sockets: active.filter((name) => name === 'TCPSocketWrap').length
  }
}

test('2,000 connections that come and go, cleanly or not, leave nothing behind', async (t) => {
  const service = await startService(t, { LOG_LEVEL: 'silent', MESSAGE_RATE: '0' })
  const { hub, pendingUpgrades } = service.app.roomcast
  await close(await connect(service))
  await hub.emptied()
  const before = resources()
  const url = `${service.url.replace('http', 'ws')}/ws?room=lobby`
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      const ws = new WebSocket(`${url}&room=own-${round}-${i}&token=${makeToken({ sub: `user-${i}` })}`)
      ws.on('error', () => {})
      const closed = new Promise((resolve) => { ws.once('close', resolve) })
      if (i % 5 === 0) {
        // Gone before it is there.
        setImmediate(() => { ws.terminate() })
      } else {
        await once(ws, 'open')
        if (i % 2 === 0) await once(ws, 'message')
        else ws.send('{"type":"chat","text":"on my way out"}')
        if (i % 3 === 0) ws.terminate()
        else ws.close()
      }
      await closed
    }))
  }
  await hub.emptied()
  await until(
    () => hub.connections.size === 0 && hub.roomCount === 0 && pendingUpgrades.size === 0,
    'connections, rooms and pendingUpgrades to be gone'
  )
  await until(() => resources().timers <= before.timers, 'the timers to be gone')
  await until(() => resources().sockets <= before.sockets, 'the sockets to be gone')
  t.equal(hub.connectionsOf('user-1'), 0)
  await until(() => hub.backlog.bytes === 0)

  const client = await connect(service, { query: 'room=lobby' })
  t.match(await client.next('joined'), { audience: 1 }, 'nobody else is thought to be there')
  t.equal(hub.roomCount, 3)
})
