import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Position } from '../../src/protocol/position.ts'
import { PAGE_MESSAGES } from '../../src/rooms/history-reads.ts'
import { obtainRedis } from '../support/debian.ts'
import { findFreePort } from '../support/free-port.ts'
import { makeToken, SECRET } from '../support/token.ts'
import { RedisServer } from '../support/redis-server.ts'
import type { Scope } from '../support/scope.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { check, type Violation } from './checker.ts'
import type { Counts } from './counts.ts'
import { Instance } from './instance.ts'
import { Nemesis } from './nemesis.ts'
import { Publisher, type Speaker } from './publisher.ts'
import { Random } from './random.ts'
import type { Final, MessageId, Records } from './records.ts'
import { makeSchedule } from './schedule.ts'
import { SdkPublisher } from './sdk-publisher.ts'
import { SdkSubscriber } from './sdk-subscriber.ts'
import { isAt, type Listener, Subscriber } from './subscriber.ts'

export const SERVER = fileURLToPath(new URL('../../src/server.js', import.meta.url))

const INSTANCES = 3
const PUBLISHERS = 8
const SUBSCRIBERS = 40
/** One of so many listens, or publishes, with the SDK. */
const SDK_EVERY = 7
const ROOMS = ['@all', '@user:subscriber-0', '@user:subscriber-1', ...Array.from({ length: 17 }, (_, i) => `room-${i + 1}`)]
/** Rooms of a subscriber, beside the automatic ones. */
const ROOMS_EACH = 3
/** After the last fault everything is to be as it should within this, ms. */
const CONVERGENCE_MS = 10_000
/**
 * All subscribers join, before anything else begins, within this, ms. It only ends a run that hangs: a busy machine needs 20 s and
 * more.
 */
const ARRIVAL_MS = 120_000
/** `messages` are acknowledged within this, ms. It only ends a run that hangs. */
const PUBLISHING_MS = 180_000

export interface RunOptions {
  seconds: number
  /** So many are published after the schedule, undisturbed: a busy machine publishes few in the time of the schedule. */
  messages: number
  seed: number
  /** Redis keeps what it has acknowledged. */
  durable: boolean
  /** The program of an instance. */
  program: string
}

/** What a run has come to. */
export interface Result {
  options: RunOptions
  violations: Violation[]
  acknowledged: number
  /** Publishes that the SDK has given up after four minutes by one of its clocks. */
  unknown: number
  attempts: number
  delivered: number
  resumes: number
  recovered: number
  counts: Counts
  faults: Map<string, number>
  /** The longest time in which nothing was acknowledged, ms. */
  longestOutageMs: number
  /** From the end of publishing until every subscriber was where its rooms are, ms; undefined if that did not come. */
  convergedMs: number | undefined
}

/** Starts everything, does everything, writes everything down, and judges. */
export async function run (scope: Scope, options: RunOptions): Promise<Result> {
  const { seconds, messages, seed, durable, program } = options
  const redisProgram = obtainRedis()
  if (redisProgram === undefined) throw new Error('redis-server is not here and cannot be installed')
  const redis = await RedisServer.start(scope, redisProgram, ...(durable ? ['--appendonly yes', '--appendfsync always'] : []))
  const proxies = await Promise.all(Array.from({ length: INSTANCES }, async () => await TcpProxy.start(scope, redis.port)))

  let startedAt = performance.now()
  const now = (): number => performance.now() - startedAt
  const records: Records = { durable, pageMessages: PAGE_MESSAGES, views: [], publishes: [], finals: [], incidents: [], faults: [] }
  const onIncident = (text: string): void => { records.incidents.push({ at: now(), text }) }

  const instances = await Promise.all(proxies.map(async (proxy, i) => new Instance({
    name: `instance ${i}`,
    program,
    port: await findFreePort(),
    environment: {
      JWT_SECRET: SECRET,
      REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
      REDIS_DURABLE: String(durable),
      MESSAGE_RATE: '0',
      REST_RATE: '0',
      DRAIN_WINDOW_MS: '1000'
    },
    onIncident
  })))
  for (const instance of instances) {
    scope.teardown(async () => { await instance.stop() })
    instance.start()
  }
  const urls = instances.map(({ url }) => url)
  const random = new Random(seed)
  const subscribers = Array.from({ length: SUBSCRIBERS }, (_, i) => {
    const byUrl = i % 4 === 3
    const user = `subscriber-${i}`
    const rooms = ['@all', ...(i < 2 ? ['@user'] : []), ...random.some(ROOMS.slice(3), byUrl ? 1 : ROOMS_EACH)]
    return new (i % SDK_EVERY === 0 ? SdkSubscriber : Subscriber)({
      user,
      rooms,
      byUrl,
      urls,
      random: new Random(random.between(0, 2 ** 31)),
      now,
      onIncident
    })
  })
  const publishers = Array.from(
    { length: PUBLISHERS },
    (_, i) =>
      new (i % SDK_EVERY === 0 ? SdkPublisher : Publisher)({
        number: i,
        rooms: ROOMS,
        urls: [...urls],
        random: new Random(random.between(0, 2 ** 31)),
        now,
        onIncident
      })
  )
  scope.teardown(() => { for (const subscriber of subscribers) subscriber.stop() })

  for (const subscriber of subscribers) subscriber.start()
  const arrival = performance.now() + ARRIVAL_MS
  while (!subscribers.every((subscriber) => subscriber.views.every(({ sights }) => sights.some(({ kind }) => kind === 'joined')))) {
    if (performance.now() > arrival) throw new Error(`not everybody could come: ${JSON.stringify(records.incidents).slice(0, 2_000)}`)
    await sleep(20)
  }

  startedAt = performance.now()
  for (const { sights } of subscribers.flatMap(({ views }) => views)) for (const sight of sights) sight.at = 0
  for (const publisher of publishers) publisher.start()
  const sdkUsers = [...subscribers, ...publishers].filter((one) => one instanceof SdkSubscriber || one instanceof SdkPublisher)
  const sdkClients = sdkUsers.map(({ sdk }) => sdk)
  const nemesis = new Nemesis({ redis, proxies, instances, subscribers, sdkClients, now })
  await nemesis.carryOut(makeSchedule(seed, seconds, INSTANCES), records.faults)
  await sleep(Math.max(0, seconds * 1_000 - now()))

  await publishMore(messages, publishers)

  const publishedAt = now()
  const deadline = publishedAt + CONVERGENCE_MS
  await Promise.all(publishers.map(async (publisher) => { await publisher.finish(deadline) }))
  for (const subscriber of subscribers) subscriber.stay()
  const convergedMs = await converge(urls, subscribers, records, deadline, now)

  records.views = subscribers.flatMap(({ views }) => views).map((view) => ({ ...view, room: realName(view.room, view.subscriber) }))
  records.publishes = publishers.flatMap(({ publishes }) => publishes)
  const acknowledgedAt = records.publishes.flatMap(({ acknowledged }) => acknowledged?.at ?? []).sort((a, b) => a - b)
  return {
    options,
    violations: check(records),
    acknowledged: acknowledgedAt.length,
    unknown: records.publishes.filter(({ isUnknown }) => isUnknown).length,
    attempts: sum(records.publishes, ({ attempts }) => attempts.length),
    delivered: sum(subscribers, ({ delivered }) => delivered),
    resumes: sum(subscribers, ({ resumes }) => resumes),
    recovered: sum(subscribers, ({ recovered }) => recovered),
    counts: addUp(instances.map(({ counts }) => counts)),
    faults: nemesis.counts,
    longestOutageMs: Math.max(0, ...acknowledgedAt.map((at, i) => at - (acknowledgedAt[i - 1] ?? 0))),
    convergedMs: convergedMs === undefined ? undefined : convergedMs - publishedAt
  }
}

/** Waits until so many messages more are acknowledged. */
async function publishMore (messages: number, publishers: Speaker[]): Promise<void> {
  const count = (): number => sum(publishers, ({ publishes }) => publishes.filter(({ acknowledged }) => acknowledged !== undefined).length)
  const before = count()
  const deadline = performance.now() + PUBLISHING_MS
  while (count() - before < messages) {
    if (performance.now() > deadline) {
      const acknowledged = `${count() - before} of ${messages} messages were acknowledged in ${PUBLISHING_MS / 1_000} s`
      throw new Error(`only ${acknowledged}: the machine is too busy, or the service hangs`)
    }
    await sleep(50)
  }
}

/** Waits until everybody is where their rooms are; notes what the rooms have. Returns when that was, ms since the start. */
async function converge (
  urls: string[],
  subscribers: Listener[],
  records: Records,
  deadline: number,
  now: () => number
): Promise<number | undefined> {
  const finals = new Map<string, Final>()
  for (;;) {
    for (const room of ROOMS) {
      const final = await readRoom(urls, room)
      if (final !== undefined) finals.set(room, final)
    }
    const everybodyIsThere = finals.size === ROOMS.length && subscribers.every((subscriber) => subscriber.views.every(({ room }) => {
      const final = finals.get(realName(room, subscriber.views[0]?.subscriber as string))
      return final !== undefined && isAt(subscriber.position(room), final.position)
    }))
    records.finals = [...finals.values()]
    if (everybodyIsThere) return now()
    if (now() > deadline) return undefined
    await sleep(50)
  }
}

/** All that history has of a room, from the first instance that says it. */
async function readRoom (urls: string[], room: string): Promise<Final | undefined> {
  const token = makeToken({
    sub: room.startsWith('@user:') ? room.slice('@user:'.length) : 'checker',
    rooms: { '**': ['history'], '@all': ['history'], '@user:*': ['history'] }
  })
  const { WebSocket } = await import('ws')
  for (const url of urls) {
    // By frames, which know the automatic rooms.
    const ws = new WebSocket(`${url.replace('http', 'ws')}/ws?token=${token}`, { handshakeTimeout: 1_000 })
    const name = room.startsWith('@user:') ? '@user' : room
    const messages: { offset: number, id: MessageId }[] = []
    let position: Position | undefined
    const done = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => { resolve(false) }, 2_000)
      const ask = (after: number): void => { ws.send(JSON.stringify({ type: 'history', room: name, after, id: 'page' })) }
      ws.on('open', () => { ask(0) })
      ws.on('error', () => {})
      ws.on('close', () => {
        clearTimeout(timer)
        resolve(false)
      })
      ws.on('message', (data) => {
        const frame = JSON.parse(String(data)) as {
          type: string,
          id?: string,
          epoch: string,
          offset: number,
          next?: number,
          messages: { offset: number, data: MessageId }[]
        }
        if (frame.id !== 'page') return
        if (frame.type === 'error') {
          resolve(false)
          return
        }
        position = { epoch: frame.epoch, offset: frame.offset }
        for (const { offset, data } of frame.messages) messages.push({ offset, id: data })
        if (frame.next === undefined) resolve(true)
        else ask(frame.next)
      })
    })
    ws.terminate()
    if (done && position !== undefined) return { room, position, messages }
  }
  return undefined
}

function addUp (all: Counts[]): Counts {
  const total: Counts = { gaps: 0, filled: 0, resets: 0, duplicates: 0, probeFailures: 0 }
  for (const counts of all) for (const [name, count] of Object.entries(counts)) total[name as keyof Counts] += count
  return total
}

/** A user's own room, by a name that says whose. */
function realName (room: string, user: string): string {
  return room === '@user' ? `@user:${user}` : room
}

function sum<T> (items: T[], count: (item: T) => number): number {
  return items.reduce((total, item) => total + count(item), 0)
}
