import { type Test, test } from 'tap'
import { systemClock } from '../../client/clock.ts'
import { type Client, connect, type Room, type RoomcastError } from '../../client/node.ts'
import { DisturbedClock } from '../support/disturbed-clock.ts'
import { call, type Service, startService } from '../support/service.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { makeToken } from '../support/token.ts'
import { until } from '../support/until.ts'

const HOUR_MS = 3_600_000
/** Several heartbeats of the service, ms. */
const PAUSE_MS = 2_500

/** A client over event streams, with its own clock and network. */
interface World {
  client: Client
  room: Room
  clock: DisturbedClock
  network: TcpProxy
  /** The payloads and resets that the client has received. */
  seen: unknown[]
  /** The reasons for which its links have ended. */
  ends: string[]
}

async function open (t: Test, service: Service, name: string): Promise<World> {
  const network = await TcpProxy.start(t, service.port)
  const clock = new DisturbedClock(systemClock)
  const client = connect({ url: `http://127.0.0.1:${network.port}`, token: () => makeToken(), transports: ['events'], clock })
  t.teardown(() => { client.close() })
  const room = client.room(name)
  const world: World = { client, room, clock, network, seen: [], ends: [] }
  room.on('message', ({ data }) => { world.seen.push(data) })
  room.on('reset', ({ reason }) => { world.seen.push(`reset ${reason}`) })
  client.on('status', ({ state, reason }) => { if (state === 'waiting') world.ends.push(String(reason)) })
  await room.join()
  return world
}

async function pause (): Promise<void> {
  await new Promise((resolve) => { systemClock.after(PAUSE_MS, () => { resolve(undefined) }) })
}

const DISTURBANCES: [name: string, disturb: (clock: DisturbedClock) => Promise<void>, isLong: boolean][] = [
  ['the clock is set back by an hour', async (clock) => { clock.jump(-HOUR_MS) }, false],
  ['the clock is set forward by an hour', async (clock) => { clock.jump(HOUR_MS) }, true],
  ['the clock jumps back and forth', async (clock) => { for (const ms of [1, -2, 2, -1]) clock.jump(ms * HOUR_MS) }, false],
  ['the timers stop', async (clock) => {
    clock.stop()
    await pause()
    clock.go()
  }, false],
  ['the machine sleeps', async (clock) => {
    clock.sleep()
    await pause()
    clock.jump(HOUR_MS / 10)
    clock.go()
  }, true]
]

/** Runs a situation under each disturbance, with a client and a room for each. */
async function underEach (
  t: Test,
  situation: (world: World, disturb: () => Promise<void>, name: string, isLong: boolean, service: Service) => Promise<void>
): Promise<void> {
  const service = await startService(t, { HEARTBEAT_SECONDS: '1', MESSAGE_RATE: '0', REST_RATE: '0' })
  await Promise.all(DISTURBANCES.map(async ([name, disturb, isLong], i) => {
    const world = await open(t, service, `room-${i}`)
    await situation(world, async () => { await disturb(world.clock) }, name, isLong, service)
    await world.room.publish('probe')
    const { body: { messages } } = await call(service, 'GET', `/v1/rooms/room-${i}/messages`)
    const payloads = (messages as { data: unknown }[]).map(({ data }) => data)
    await until(() => world.seen.includes('probe'))
    t.strictSame(world.seen, payloads, `${name}: the client has all messages in order`)
    t.equal(new Set(payloads).size, payloads.length, `${name}: each message is in the room once`)
  }))
}

test('an event stream that is alive stays, whatever the clock does', async (t) => {
  await underEach(t, async ({ ends }, disturb, name) => {
    await disturb()
    await pause()
    t.strictSame(ends, [], name)
  })
})

test('an event stream that is dead is noticed, whatever the clock does', async (t) => {
  await underEach(t, async ({ client, room, network, ends }, disturb, name, _isLong, service) => {
    network.hold()
    await call(service, 'POST', `/v1/rooms/${room.name}/messages`, { body: { data: 'missed' } })
    await disturb()
    await until(() => ends.length > 0)
    t.equal(ends[0], 'noHeartbeat', name)
    network.cut()
    network.heal()
    await until(() => client.status.state === 'connected')
  })
})

test('a publish whose reply is lost is in the room once, whatever the clock does', async (t) => {
  await underEach(t, async ({ room, network }, disturb, name, isLong, service) => {
    network.swallowReplies()
    const outcome = room.publish(1).then(() => 'acknowledged', ({ code }: RoomcastError) => code)
    await until(async () => (await call(service, 'GET', `/v1/rooms/${room.name}/messages`)).body.messages.length > 0)
    await disturb()
    network.heal()
    t.equal(await outcome, isLong ? 'unknown' : 'acknowledged', name)
  })
})
