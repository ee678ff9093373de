import { type Test, test } from 'tap'
import { type Client, connect, type ConnectOptions, type Room, type RoomcastError } from '../../client/node.ts'
import { PATIENCE_MS, until } from '../support/until.ts'
import { OddServer } from './odd-server.ts'

/** The odd frames and replies of a run. */
const ODD = Number(process.env.FUZZ_FRAMES ?? 3_000)
const SEEDS = [Number(process.env.SEED ?? 1), 2]

type Shape = Record<string, (value: unknown) => boolean>

const isText = (value: unknown): boolean => typeof value === 'string'
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0
const isFlag = (value: unknown): boolean => typeof value === 'boolean'
const isAbsent = (value: unknown): boolean => value === undefined
const or = (...checks: ((value: unknown) => boolean)[]) => (value: unknown): boolean => checks.some((check) => check(value))
const optional = (check: (value: unknown) => boolean): (value: unknown) => boolean => or(isAbsent, check)

const POSITION: Shape = { epoch: optional(isText), offset: optional(isCount) }
const MESSAGE: Shape = {
  ...POSITION,
  id: isText,
  room: isText,
  from: isText,
  time: isCount,
  event: optional(isText),
  text: optional(isText),
  bytes: optional((value) => value instanceof Uint8Array)
}
const SHAPES: Record<string, Shape> = {
  message: MESSAGE,
  joined: { ...POSITION, room: isText, audience: isCount, recovered: optional(isFlag), missed: optional(isCount) },
  reset: { ...POSITION, room: isText, reason: isText },
  left: { room: isText, reason: optional(isText) },
  system: { room: isText, event: isText, text: isText, user: optional(isText), count: optional(isCount) }
}

/** The faults of a value by its shape; an empty list for a good one. */
function faultsOf (value: object, shape: Shape): string[] {
  const members = value as Record<string, unknown>
  const wrong = Object.keys(shape).filter((name) => shape[name]?.(members[name]) === false)
  return wrong.map((name) => `${name}: ${JSON.stringify(members[name])}`)
}

function messageFaults (message: object): string[] {
  const { data, text, bytes } = message as Record<string, unknown>
  const contents = [data, text, bytes].filter((value) => value !== undefined).length
  return [...faultsOf(message, MESSAGE), ...(contents === 1 ? [] : [`${contents} contents in ${JSON.stringify(message).slice(0, 200)}`])]
}

function errorFaults (error: RoomcastError): string[] {
  return error.name !== 'RoomcastError'
    ? [String(error)]
    : faultsOf(error, {
      code: isText,
      message: isText,
      retryable: isFlag,
      retryAfterMs: optional((value) => typeof value === 'number' && value >= 0)
    })
}

/** Watches what the application gets. */
function watch (client: Client, rooms: Room[], faults: Set<string>): void {
  const add = (what: string, found: string[]): void => { for (const fault of found) faults.add(`${what}: ${fault}`) }
  client.on('error', (error) => { add('error', errorFaults(error)) })
  client.on('status', (status) => {
    add('status', faultsOf(status, {
      state: isText,
      reason: optional(isText),
      code: optional((value) => Number.isInteger(value)),
      cause: optional((value) => value instanceof Error),
      retryAt: optional((value) => Number.isFinite(value))
    }))
  })
  for (const room of rooms) {
    room.on('message', (message) => { add('message', messageFaults(message)) })
    for (const event of ['joined', 'reset', 'left', 'system'] as const) {
      room.on(event, (value) => { add(event, faultsOf(value, SHAPES[event] ?? {})) })
    }
  }
}

/** Asks for all kinds of things until the function returned says stop; resolves when all answers are there. */
function bustle (client: Client, names: string[], faults: Set<string>): () => Promise<void> {
  const pending = new Set<Promise<unknown>>()
  const track = (what: string, promise: Promise<unknown>): void => {
    const tracked = promise
      .catch((error: RoomcastError) => { for (const fault of errorFaults(error)) faults.add(`${what} rejects: ${fault}`) })
      .finally(() => { pending.delete(tracked) })
    pending.add(tracked)
  }
  let turn = 0
  const timer = setInterval(() => {
    // The waits are right, but a run would take hours.
    if (client.status.state === 'waiting') client.retry()
    if (pending.size > 20) return
    const room = client.room(names[turn % names.length] ?? 'lobby')
    const step = turn++ % 7
    if (step < 2) track('join', room.join({ load: step === 0 ? async () => {} : undefined }))
    else if (step < 4) track('publish', room.publish(step === 2 ? { turn } : new Uint8Array(3), { echo: turn % 2 === 0 }))
    else if (step === 4) {
      track('history', room.history().then(({ messages }) => {
        for (const message of messages) for (const fault of messageFaults(message)) faults.add(`history: ${fault}`)
      }))
    } else if (step === 5) void room.leave()
    else track('join', room.join())
  }, 2)
  return async () => {
    clearInterval(timer)
    await until(() => {
      if (client.status.state === 'waiting') client.retry()
      return pending.size === 0
    }, `${pending.size} promises`)
  }
}

async function run (t: Test, seed: number, options: Partial<ConnectOptions>): Promise<void> {
  const server = await OddServer.start(t, seed)
  const faults = new Set<string>()
  const uncaught = (error: unknown): void => { faults.add(`uncaught: ${error instanceof Error ? error.stack : String(error)}`) }
  process.on('uncaughtException', uncaught).on('unhandledRejection', uncaught)
  t.teardown(() => { process.off('uncaughtException', uncaught).off('unhandledRejection', uncaught) })
  const client = connect({ url: server.url, token: () => 'token', timeouts: { connectMs: 500, historyMs: 1_000 }, ...options })
  t.teardown(() => { client.close() })
  const names = ['lobby', 'other', '__proto__', 'constructor', '@all']
  watch(client, names.map((name) => client.room(name)), faults)
  const stop = bustle(client, names, faults)
  const deadline = Date.now() + PATIENCE_MS
  await until(() => server.sent >= ODD || client.status.state === 'closed' || Date.now() > deadline - 5_000)
  server.isOdd = false
  server.cut()
  await stop()
  t.strictSame([...faults], [])
  t.not(client.status.state, 'closed', JSON.stringify(client.status))
  t.comment(`${server.sent} odd frames and replies, ${server.connections} connections`)

  const received: unknown[] = []
  const room = client.room('lobby')
  await room.leave()
  room.on('message', ({ data }) => { received.push(data) })
  await room.join()
  await room.publish(1)
  t.match(await room.history(), { recovered: true })
  await until(() => received.length > 0 || options.transports?.[0] === 'events')
}

for (const transports of [['websocket'], ['events'], ['websocket', 'events']] as const) {
  for (const seed of SEEDS) {
    test(`a client lives through odd frames over ${transports.join(' and ')}, seed ${seed}`, async (t) => {
      await run(t, seed, { transports })
    })
  }
}
