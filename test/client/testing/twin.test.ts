import { type Test, test } from 'tap'
import { type Twin, twin, type TwinOptions } from '../../../client/testing/index.ts'

/** A WebSocket of a user without a client behind it, what arrives on it, and its close code. */
interface Raw {
  frames: any[] // eslint-disable-line @typescript-eslint/no-explicit-any
  code: number | undefined
  send: (frame: object | Uint8Array) => void
}

async function start (t: Test, options?: TwinOptions): Promise<Twin> {
  const service = await twin(options)
  t.teardown(async () => { await service.close() })
  return service
}

/** Opens a raw WebSocket, and joins a room. */
async function open (
  service: Twin,
  user: string,
  { token = service.options(user).token(), room = 'lobby', since }: { token?: string, room?: string, since?: object } = {}
): Promise<Raw> {
  const { WebSocket } = service.options(user)
  const ws = new WebSocket('ws://roomcast.test/ws?origin=origin-of-the-test', ['roomcast.v1', `bearer.${token}`])
  const raw: Raw = {
    frames: [],
    code: undefined,
    send: (frame) => { ws.send(frame instanceof Uint8Array ? frame : JSON.stringify(frame)) }
  }
  ws.onmessage = ({ data }) => {
    raw.frames.push(typeof data === 'string' ? JSON.parse(data) : [...new Uint8Array(data as ArrayBuffer)])
  }
  ws.onclose = ({ code }) => { raw.code = code }
  await service.settle()
  raw.send({ type: 'join', room, since, id: 1 })
  await service.settle()
  return raw
}

/** The types of the received frames, with their texts and data. */
function typesOf ({ frames }: Raw): string[] {
  return frames.map(({ type, text, data }) => [type, text ?? data].filter((part) => part !== undefined).join(' '))
}

test('a connection is welcomed, and publishes', async (t) => {
  const service = await start(t, { epoch: 'e' })
  const ada = await open(service, 'ada')
  t.match(ada.frames, [
    {
      type: 'welcome',
      user: 'ada',
      origin: 'origin-of-the-test',
      heartbeatMs: 25_000,
      rooms: [{ room: '@user', epoch: 'e', offset: 0 }, { room: '@all' }]
    },
    { type: 'joined', room: 'lobby', epoch: 'e', offset: 0, audience: 1, id: 1 }
  ])
  ada.send({ type: 'chat', text: 'hi', id: 2 })
  ada.send({ type: 'ping', id: 3 })
  ada.send({ type: 'nonsense', id: 4 })
  ada.send({ type: 'leave', room: '@all', id: 5 })
  await service.settle()
  const [message, ack, ...others] = ada.frames.slice(2)
  t.strictSame(message, { type: 'message', room: 'lobby', offset: 1, time: 1_764_000_000_000, from: 'ada', text: 'hi' })
  t.strictSame(ack, { type: 'ack', id: 2, room: 'lobby', epoch: 'e', offset: 1 })
  t.strictSame(others.map(({ type, id, code }) => [type, id, code]), [
    ['pong', 3, undefined], ['error', 4, 'unknown_type'], ['error', 5, 'forbidden']
  ])
})

test('a backend publishes to a room, to a user and to all', async (t) => {
  const service = await start(t, { epoch: 'e' })
  const ada = await open(service, 'ada')
  t.strictSame(
    await service.publish('lobby', { text: 'hi' }, { event: 'said' }),
    { room: 'lobby', epoch: 'e', offset: 1, time: 1_764_000_000_000, audience: 1 }
  )
  await service.publish('lobby', { data: 'not for ada' }, { exclude: 'origin-of-the-test' })
  await service.publish('@user:ada', { data: 'own' })
  await service.publish('@all', { bytes: new Uint8Array([7]) }, { from: 'bob' })
  t.match(ada.frames.slice(2), [
    { room: 'lobby', from: 'server', event: 'said', text: 'hi' },
    { room: '@user', data: 'own' },
    { room: '@all', from: 'bob', binary: 1 },
    [7]
  ])
  t.match(service.room('lobby'), { epoch: 'e', offset: 2, audience: 1, messages: [{ text: 'hi' }, { data: 'not for ada' }] })
  await t.rejects(service.publish('no such name', { text: 'hi' }), { code: 'invalid_room' })
  await t.rejects(service.publish('lobby', {} as never), { code: 'invalid_request' })
})

test('a cut ends connections and refuses new ones, until it is mended', async (t) => {
  const service = await start(t)
  const [ada, bob] = [await open(service, 'ada'), await open(service, 'bob')]
  await service.cut('ada')
  t.strictSame([ada.code, bob.code], [1006, undefined])
  t.strictSame(typesOf(bob).slice(2), ['system ada left lobby'])
  t.equal((await open(service, 'ada')).code, 1006)
  await service.cut()
  t.equal(bob.code, 1006)
  await service.mend('bob')
  t.strictSame([(await open(service, 'ada')).code, (await open(service, 'bob')).code], [1006, undefined])
  await service.mend()
  t.equal((await open(service, 'ada')).code, undefined)
})

test('a silent network holds the frames of both directions, and new connections', async (t) => {
  const service = await start(t)
  const [ada, bob] = [await open(service, 'ada'), await open(service, 'bob')]
  ada.send({ type: 'chat', text: 'under way' })
  await service.silence('ada')
  t.strictSame(typesOf(bob).slice(2), ['message under way'])
  ada.send({ type: 'chat', text: 'from ada' })
  await service.publish('lobby', { text: 'to ada' })
  const second = await open(service, 'ada')
  await service.advance('34s')
  t.strictSame([ada.code, ada.frames.length, second.frames.length], [undefined, 4, 0])
  await service.mend('ada')
  t.strictSame(typesOf(ada).slice(4), ['message to ada', 'message from ada'])
  t.strictSame(typesOf(bob).slice(3), ['message to ada', 'message from ada'])
  t.equal(second.frames[0].type, 'welcome')
  await service.advance('10s')
  await service.silence('ada')
  await service.advance('30s')
  await service.mend('ada')
  t.equal(ada.code, undefined, 'each silence begins anew')
})

test('the service gives a silent connection up after a heartbeat, and the client learns it later', async (t) => {
  const service = await start(t)
  const [ada, bob] = [await open(service, 'ada'), await open(service, 'bob')]
  await service.silence('ada')
  await service.advance('36s')
  t.strictSame([ada.code, typesOf(bob).slice(2)], [undefined, ['system ada left lobby']])
  await service.mend()
  t.equal(ada.code, 1006)
})

test('a restart is announced, and keeps or forgets the rooms', async (t) => {
  const service = await start(t, { epoch: 'first' })
  const [ada, bob] = [await open(service, 'ada'), await open(service, 'bob')]
  await service.publish('lobby', { text: 'hi' })
  await service.restart({ retryAfterMs: 700 })
  t.strictSame([ada.code, bob.code], [1001, 1001])
  t.strictSame(ada.frames.at(-1), { type: 'shutdown', text: 'Server restarting', retryAfterMs: 700 })
  t.strictSame(typesOf(bob).slice(2), ['message hi', 'shutdown Server restarting'])
  const again = await open(service, 'ada', { since: { epoch: 'first', offset: 0 } })
  t.match(again.frames.slice(1), [{ recovered: true, missed: 1 }, { text: 'hi' }])
  await service.restart({ epoch: 'second' })
  const third = await open(service, 'ada', { since: { epoch: 'first', offset: 1 } })
  t.match(third.frames.slice(1), [{ recovered: false, epoch: 'second', offset: 0, audience: 1 }])
})

test('a resume has at most one page, without the messages that exclude the client', async (t) => {
  const service = await start(t, { epoch: 'e' })
  await Promise.all(Array.from({ length: 301 }, async (_, i) => (
    await service.publish('lobby', { data: i }, i === 0 ? { exclude: 'origin-of-the-test' } : {})
  )))
  const all = await open(service, 'ada', { since: { epoch: 'e', offset: 0 } })
  const none = await open(service, 'ada', { since: { epoch: 'e', offset: 400 } })
  t.match(all.frames[1], { recovered: true, missed: 300, offset: 301 })
  t.equal(all.frames.length, 302)
  t.match(none.frames[1], { recovered: false, offset: 301 })
  await service.publish('lobby', { data: 302 })
  const late = await open(service, 'ada', { since: { epoch: 'e', offset: 0 } })
  t.match(late.frames.slice(1), [{ recovered: false, offset: 302 }])
  await service.publish('large', { text: 'x'.repeat(300_000) })
  t.match((await open(service, 'bob', { room: 'large', since: { epoch: 'e', offset: 0 } })).frames[1], { recovered: true, missed: 1 })
  await service.publish('large', { text: 'x'.repeat(300_000) })
  t.match((await open(service, 'bob', { room: 'large', since: { epoch: 'e', offset: 0 } })).frames[1], { recovered: false })
})

test('an expired token is refused, and the next one is accepted', async (t) => {
  const service = await start(t)
  const { token } = service.options('ada')
  const old = token()
  const ada = await open(service, 'ada')
  await service.expire('ada')
  t.equal(ada.code, 4001)
  t.equal((await open(service, 'ada', { token: old })).code, 4001)
  t.equal((await open(service, 'ada', { token: 'no token' })).code, 4001)
  t.equal((await open(service, 'ada')).code, undefined)
  const strange = await open(service, 'a/b. ü')
  t.equal(strange.frames[0].user, 'a/b. ü')
})

test('the service that restarts takes no more frames, and forgets keys with its rooms', async (t) => {
  const service = await start(t)
  const ada = await open(service, 'ada')
  ada.send({ type: 'publish', data: 1, key: 'k' })
  await service.settle()
  await service.silence('ada')
  ada.send({ type: 'chat', text: 'late' })
  await service.restart()
  await service.mend('ada')
  t.equal(ada.code, 1001)
  t.strictSame(service.room('lobby').messages.map(({ data, text }) => text ?? data), [1])
  await service.restart({ epoch: 'new' })
  const again = await open(service, 'ada')
  again.send({ type: 'publish', data: 1, key: 'k', id: 2 })
  await service.settle()
  t.match(again.frames.at(-1), { type: 'ack', epoch: 'new', offset: 1 })
})

test('a frame without a room goes to the latest joined room', async (t) => {
  const service = await start(t)
  const ada = await open(service, 'ada')
  ada.send({ type: 'join', room: 'other' })
  ada.send({ type: 'chat', text: '1' })
  ada.send({ type: 'join', room: 'lobby' })
  ada.send({ type: 'chat', text: '2' })
  ada.send({ type: 'leave', room: 'lobby' })
  ada.send(new Uint8Array([3]))
  await service.settle()
  t.strictSame(service.room('lobby').messages.map(({ text }) => text), ['2'])
  t.strictSame(service.room('other').messages.map(({ text, bytes }) => text ?? bytes), ['1', new Uint8Array([3])])
})

test('a connection ends for any reason of the service', async (t) => {
  const service = await start(t)
  const ada = await open(service, 'ada')
  await service.end('ada', 'removed')
  t.strictSame([ada.code, service.room('lobby').audience], [4503, 0])
})

test('frames are refused as often as a test says', async (t) => {
  const service = await start(t)
  const ada = await open(service, 'ada')
  service.refuse('unavailable', { times: 2, retryAfterMs: 50, match: ({ type }) => type === 'publish' })
  service.refuse('forbidden')
  ada.send({ type: 'ping' })
  ada.send({ type: 'publish', data: 1, id: 2 })
  ada.send({ type: 'publish', binary: 1, id: 3 })
  ada.send(new Uint8Array([1]))
  ada.send({ type: 'publish', data: 1, id: 4 })
  ada.send({ type: 'publish', data: 1, id: 5 })
  await service.settle()
  const answers = ada.frames.slice(2).map(({ type, code, retryable, retryAfterMs, id }) => (
    [type, code, retryable, retryAfterMs, id].filter((part) => part !== undefined)
  ))
  t.strictSame(answers, [
    ['pong'], ['error', 'unavailable', true, 50, 2], ['error', 'unavailable', true, 50, 3], ['error', 'forbidden', false, 4],
    ['message'], ['ack', 5]
  ])
})

test('lost answers do not arrive, and messages do', async (t) => {
  const service = await start(t)
  const ada = await open(service, 'ada')
  service.loseAnswers('ada')
  ada.send({ type: 'publish', data: 1, id: 2 })
  await service.settle()
  t.strictSame(typesOf(ada).slice(2), ['message 1'])
  await service.cut('ada')
  await service.mend('ada')
  t.strictSame(typesOf(await open(service, 'ada')), ['welcome', 'joined'])
})

test('members are removed and told about gaps, and actions are refused', async (t) => {
  const service = await start(t, { epoch: 'e' })
  const ada = await open(service, 'ada')
  await service.publish('lobby', { data: 1 })
  await service.reset('lobby')
  await service.reset('lobby', { epoch: 'f' })
  await service.remove('ada', 'lobby')
  service.forbid('ada', 'join', 'lobby')
  ada.send({ type: 'join', room: 'lobby', id: 2 })
  await service.settle()
  t.match(ada.frames.slice(3), [
    { type: 'reset', room: 'lobby', epoch: 'e', offset: 1, reason: 'history' },
    { type: 'reset', room: 'lobby', epoch: 'f', offset: 0, reason: 'epoch' },
    { type: 'left', room: 'lobby', reason: 'removed' },
    { type: 'error', code: 'forbidden', id: 2 }
  ])
  t.strictSame(service.room('lobby'), { epoch: 'f', offset: 0, audience: 0, messages: [] })
})

test('frames above the rate are refused, and a connection that does not slow down is closed', async (t) => {
  const service = await start(t, { messageRate: 1, messageBurst: 2 })
  const ada = await open(service, 'ada')
  for (let id = 2; id <= 4; id++) ada.send({ type: 'publish', data: 1, echo: false, id })
  await service.settle()
  t.match(ada.frames.slice(2), [
    { type: 'ack' }, { type: 'ack' }, { type: 'error', code: 'rate_limited', retryable: true, retryAfterMs: 1_101, id: 4 }
  ])
  await service.advance(1_101)
  ada.send({ type: 'publish', data: 1, echo: false, id: 5 })
  await service.settle()
  t.equal(ada.frames.at(-1).type, 'ack')
  for (let id = 6; id <= 420; id++) ada.send({ type: 'publish', data: 1, id })
  await service.settle()
  t.equal(ada.code, 4029)
})

test('a key is known for five minutes, whatever the clocks of the clients say', async (t) => {
  const service = await start(t)
  const ada = await open(service, 'ada')
  const publish = async (): Promise<number> => {
    ada.send({ type: 'publish', data: 1, key: 'k', id: 2 })
    await service.settle()
    return ada.frames.at(-1).offset
  }
  t.equal(await publish(), 1)
  await service.setClock('1h')
  await service.advance('299s')
  t.equal(await publish(), 1)
  await service.sleep('1s')
  t.equal(await publish(), 2)
})

test('messages and unused rooms are forgotten with time', async (t) => {
  const service = await start(t, { epoch: 'e', historyTtlMs: 60_000 })
  await service.publish('lobby', { text: 'old' })
  await service.advance('30s')
  await service.publish('lobby', { text: 'new' })
  await service.advance('30s')
  t.match(service.room('lobby'), { offset: 2, messages: [{ text: 'new', offset: 2 }] })
  await service.sleep('1d')
  t.match(service.room('lobby'), { epoch: 'e.1', offset: 0, messages: [] })
})

test('a binary frame of another length is a protocol error', async (t) => {
  const service = await start(t)
  for (const wrong of [new Uint8Array([1, 2]), { type: 'ping' }]) {
    const ada = await open(service, 'ada')
    ada.send({ type: 'publish', binary: 1, id: 2 })
    ada.send(wrong)
    await service.settle()
    t.equal(ada.code, 4500)
  }
})

test('a closed twin accepts nothing', async (t) => {
  const service = await start(t)
  const ada = await open(service, 'ada')
  const client = service.connect('bob')
  await service.close()
  t.strictSame([ada.code, client.status.state, (await open(service, 'ada')).code], [1006, 'closed', 1006])
})
