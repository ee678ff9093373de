import { type Test, test } from 'tap'
import type { Client, Room } from '../../../client/index.ts'
import { type Twin, twin, type TwinOptions } from '../../../client/testing/index.ts'

async function start (t: Test, options?: TwinOptions): Promise<Twin> {
  const service = await twin(options)
  t.teardown(async () => { await service.close() })
  return service
}

/** Joins a room, and records its messages and resets. */
async function enter (client: Client, name = 'lobby'): Promise<{ room: Room, seen: unknown[] }> {
  const room = client.room(name)
  const seen: unknown[] = []
  room.on('message', ({ data, text }) => { seen.push(text ?? data) })
  room.on('reset', ({ reason }) => { seen.push(`reset ${reason}`) })
  await room.join()
  return { room, seen }
}

/** Records the states of a client's connection. */
function watch (client: Client): string[] {
  const states: string[] = []
  client.on('status', ({ state, reason }) => { states.push(reason === undefined ? state : `${state} ${reason}`) })
  return states
}

test('a client comes back after an outage, and has missed nothing', async (t) => {
  const service = await start(t)
  const ada = service.connect('ada')
  const states = watch(ada)
  const { room, seen } = await enter(ada)
  await service.cut('ada')
  t.equal(ada.status.state, 'waiting')
  await service.advance('5m')
  t.not(ada.status.state, 'connected')
  await service.publish('lobby', { text: 'meanwhile' })
  let place: unknown
  void room.publish('from ada').then(({ offset }) => { place = offset })
  await service.mend('ada')
  await service.advance('1m')
  t.equal(ada.status.state, 'connected')
  t.strictSame([seen, place], [['meanwhile', 'from ada'], 2])
  t.strictSame(states.slice(0, 2), ['connected', 'waiting lost'])
})

test('an idle connection stays for hours', async (t) => {
  const service = await start(t)
  const ada = service.connect('ada')
  const { seen } = await enter(ada)
  const states = watch(ada)
  await service.advance('2h')
  t.strictSame(states, [])
  await service.publish('lobby', { data: 1 })
  t.strictSame(seen, [1])
})

test('a client finds out that the network is silent', async (t) => {
  const service = await start(t)
  const ada = service.connect('ada')
  const { seen } = await enter(ada)
  const states = watch(ada)
  await service.silence('ada')
  await service.publish('lobby', { data: 1 })
  await service.advance('30s')
  t.strictSame([ada.status.state, seen], ['connected', []])
  await service.advance('10s')
  t.equal(states[0], 'waiting noHeartbeat')
  await service.mend()
  await service.advance('1m')
  t.strictSame([ada.status.state, seen], ['connected', [1]])
})

test('a client resumes after a restart, and is told about a new epoch', async (t) => {
  const service = await start(t)
  const ada = service.connect('ada')
  const { seen } = await enter(ada)
  await service.restart()
  await service.publish('lobby', { data: 1 })
  t.match(ada.status, { state: 'waiting', reason: 'goingDown' })
  await service.advance('1s')
  t.strictSame(seen, [1])
  await service.restart({ epoch: 'new' })
  await service.advance('1s')
  t.strictSame(seen, [1, 'reset history'])
  t.equal(ada.room('lobby').position?.epoch, 'new')
})

test('a client gets a new token', async (t) => {
  const service = await start(t)
  let calls = 0
  const { token } = service.options('ada')
  const ada = service.connect('ada', { token: () => { calls++; return token() } })
  const { seen } = await enter(ada)
  await service.expire('ada')
  await service.publish('lobby', { data: 1 })
  await service.advance('1m')
  t.strictSame([calls, ada.status.state, seen], [2, 'connected', [1]])
})

test('a client repeats refused requests', async (t) => {
  const service = await start(t)
  const ada = service.connect('ada')
  service.refuse('unavailable', { retryAfterMs: 5_000, match: ({ type }) => type === 'join' })
  const entering = enter(ada)
  await service.advance('6s')
  const { room, seen } = await entering
  service.refuse('rate_limited', { times: 2, match: ({ type, room }) => type === 'publish' && room === 'lobby' })
  const published = room.publish(1)
  await service.advance('1m')
  t.strictSame([(await published).offset, seen], [1, [1]])
})

test('a client in a machine that sleeps, or with a clock that jumps, misses nothing', async (t) => {
  const service = await start(t)
  const ada = service.connect('ada')
  const { seen } = await enter(ada)
  const disturbances = [
    async () => { await service.sleep('6m') },
    async () => { await service.setClock('-1h') },
    async () => { await service.setClock('2d') }
  ]
  for (const disturb of disturbances) {
    await disturb()
    await service.cut('ada')
    await service.publish('lobby', { data: 1 })
    await service.mend('ada')
    await service.advance('1m')
  }
  t.strictSame([ada.status.state, seen], ['connected', [1, 1, 1]])
})
