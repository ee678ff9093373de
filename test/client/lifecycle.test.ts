import { type Test, test } from 'tap'
import { type Client, connect, type ConnectOptions, type Room, type RoomcastError } from '../../client/node.ts'
import { startService } from '../support/service.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'

const TRANSPORTS = ['websocket', 'events'] as const

function open (t: Test, url: string, options: Partial<ConnectOptions> = {}): Client {
  const client = connect({ url, token: () => makeToken(), backoff: { firstMs: 10 }, ...options })
  t.teardown(() => { client.close() })
  return client
}

async function codeOf (promise: Promise<unknown>): Promise<string> {
  return await promise.then(() => 'nothing', (error: RoomcastError) => `${error.name} ${error.code}`)
}

for (const transport of TRANSPORTS) {
  test(`over ${transport}`, async (t) => {
    const service = await startService(t, { MESSAGE_RATE: '0' })
    const options = { transports: [transport] }

    for (const how of ['disconnect', 'close'] as const) {
      for (const when of ['connecting', 'connected', 'waiting', 'joined', 'state', 'message'] as const) {
        await t.test(`${how} in a listener of ${when} leaves a client that can go on`, async (t) => {
          const network = await TcpProxy.start(t, service.port)
          const client = open(t, `http://127.0.0.1:${network.port}`, { ...options, autoConnect: false })
          const room = client.room(`lobby-${how}-${when}`)
          let isDone = false
          const stop = (): void => {
            if (isDone) return
            isDone = true
            client[how]()
          }
          if (when === 'joined' || when === 'message') room.on(when, stop)
          else if (when === 'state') room.on('state', (state) => { if (state === 'joined') stop() })
          else client.on('status', ({ state }) => { if (state === when) stop() })
          const joined = codeOf(room.join())
          const published = codeOf(room.publish(1))
          client.connect()
          if (when === 'waiting') {
            await until(() => room.state === 'joined')
            network.cut()
            network.heal()
          }
          await until(() => isDone)
          t.equal(client.status.state, how === 'close' ? 'closed' : 'disconnected')
          client.connect()
          if (how === 'close') {
            t.equal(client.status.state, 'closed')
            for (const code of [await joined, await published]) t.match(code, /^(nothing|RoomcastError closed)$/)
            t.equal(await codeOf(room.join()), 'RoomcastError closed')
            t.equal(await codeOf(room.history()), 'RoomcastError closed')
          } else {
            t.strictSame([await joined, await published], ['nothing', 'nothing'])
            t.match(await room.publish(2), { offset: 2 })
          }
        })
      }
    }

    await t.test('names of rooms that are no texts are refused, and hold up nothing', async (t) => {
      const client = open(t, service.url, options)
      const errors: unknown[] = []
      client.on('error', (error) => { errors.push(error) })
      for (const name of ['\ud800', 5, undefined, null, {}, 'bad name', '', 'a/b', '@other'] as string[]) {
        const room = client.room(name)
        const left = room.join()
        void room.leave()
        t.equal(await codeOf(left), 'RoomcastError not_joined')
        room.hold()()
        t.match(await codeOf(room.join()), /^RoomcastError (invalid_(room|frame)|forbidden)/)
        t.match(await codeOf(room.publish(1)), /^RoomcastError (invalid_(room|frame)|forbidden|not_joined)/)
        t.match(await codeOf(room.history()), /^RoomcastError (invalid_(room|frame)|forbidden)/)
        t.equal(room.state, 'refused')
      }
      const dots = client.room('..')
      await dots.join()
      t.match(await codeOf(dots.history()), transport === 'events' ? /invalid_room/ : /nothing/)
      await client.room('@user').join()
      for (const key of ['☃', 'a\nb', '', '\ud800']) {
        t.match(await codeOf(client.room('@user').publish(1, { key })), /nothing|RoomcastError/)
      }
      t.equal(await codeOf(client.room('lobby').join()), 'nothing')
      t.strictSame(errors, [])
    })
  })
}

test('connect, disconnect and retry in any order', async (t) => {
  const service = await startService(t)
  const client = open(t, service.url, { autoConnect: false })
  const room: Room = client.room('lobby')
  const joined = room.join()
  for (const step of ['retry', 'disconnect', 'retry', 'connect', 'connect', 'disconnect', 'disconnect', 'connect', 'retry'] as const) {
    client[step]()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await joined
  await until(() => service.app.roomcast.hub.connections.size === 1, 'one connection')
  client.close()
  for (const step of ['connect', 'retry', 'disconnect', 'close'] as const) client[step]()
  t.equal(client.status.state, 'closed')
})

test('a leave whose answer is lost does not keep the room out', async (t) => {
  const service = await startService(t)
  const network = await TcpProxy.start(t, service.port)
  const client = open(t, `http://127.0.0.1:${network.port}`, { transports: ['websocket'] })
  const room = client.room('left')
  await room.join()
  let connections = 0
  client.on('status', ({ state }) => { if (state === 'connected') connections++ })
  await room.leave()
  network.cut()
  network.heal()
  await until(() => connections > 0, 'another connection')
  await room.join()
})
