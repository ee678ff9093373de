import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { call, type Service, startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { PATIENCE_MS, until } from '../support/until.ts'
import { type Client, connect, type Frame } from '../support/websocket-client.ts'

/** Frames of a room that a member got, and whether they are in one unbroken order. */
export class Journal {
  readonly frames: Frame[] = []
  readonly room: string

  constructor (client: Client, room: string) {
    this.room = room
    client.ws.on('message', (data, isBinary) => {
      if (isBinary) return
      const frame = JSON.parse(String(data)) as Frame
      if (frame.room === room && (frame.type === 'message' || frame.type === 'reset')) this.frames.push(frame)
    })
  }

  get texts (): unknown[] {
    return this.frames.filter(({ type }) => type === 'message').map(({ text }) => text)
  }

  get resets (): Frame[] {
    return this.frames.filter(({ type }) => type === 'reset')
  }

  /** The first message that does not follow the one before it. */
  get broken (): Frame | undefined {
    let last: number | undefined
    return this.frames.find((frame) => {
      const follows = frame.type === 'reset' || last === undefined || frame.offset === last + 1
      last = frame.offset as number
      return !follows
    })
  }
}

/** Two instances with one Redis between them, a member on each, and what they got. */
export async function startPair (t: Test, environment: Record<string, string>) {
  const services = await Promise.all([
    startService(t, { MESSAGE_RATE: '0', REST_RATE: '0', ...environment }),
    startService(t, { MESSAGE_RATE: '0', REST_RATE: '0', ...environment })
  ])
  const clients = await Promise.all(services.map(async (service, i) => {
    const client = await connect(service, { token: makeToken({ sub: `member-${i}` }) })
    await client.join('lobby')
    return client
  }))
  return { services: services as [Service, Service], clients, journals: clients.map((client) => new Journal(client, 'lobby')) }
}

/** Publishes over REST to both instances by turns until it is told to stop; counts the answers, and tries again with the same key. */
export class Publisher {
  readonly acknowledged: string[] = []
  readonly answers = new Map<string, number>()
  #stopped = false
  readonly #running: Promise<unknown>

  constructor (services: Service[], count = 4) {
    this.#running = Promise.all(Array.from({ length: count }, async (_, n) => { await this.#run(services, n) }))
  }

  async stop (): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run (services: Service[], n: number): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const text = `${n}:${i}`
      for (let attempt = 0; ; attempt++) {
        const { status, body } = await call(services[(n + attempt) % services.length] as Service, 'POST', '/v1/rooms/lobby/messages', {
          body: { text },
          headers: { 'idempotency-key': text }
        })
        const answer = status === 201 ? '201' : `${status} ${(body as { code: string }).code}`
        this.answers.set(answer, (this.answers.get(answer) ?? 0) + 1)
        if (status === 201) break
        if (this.#stopped) return
        await sleep(20)
      }
      this.acknowledged.push(text)
    }
  }

  async untilAcknowledged (more: number): Promise<void> {
    const goal = this.acknowledged.length + more
    await until(() => this.acknowledged.length >= goal, `${more} acknowledged publishes; so far ${JSON.stringify([...this.answers])}`)
  }
}

/** Everything acknowledged came to everybody, once, in order. */
export async function checkNothingLost (t: Test, publisher: Publisher, journals: Journal[]): Promise<void> {
  await publisher.stop()
  for (const journal of journals) {
    await until(
      () => new Set(journal.texts).size >= publisher.acknowledged.length,
      `${publisher.acknowledged.length} messages; there are ${journal.texts.length}`
    )
    t.strictSame(publisher.acknowledged.filter((text) => !journal.texts.includes(text)), [], 'nothing acknowledged is missing')
    t.equal(new Set(journal.texts).size, journal.texts.length, 'nothing came twice')
    t.equal(journal.broken, undefined, 'one unbroken order')
  }
}

export async function untilReady (service: Service, status: number): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const answer = await call(service, 'GET', '/health/ready')
    if (answer.status === status) return
    if (Date.now() > deadline) throw new Error(`readiness stays ${answer.status}`)
    await sleep(20)
  }
}

/** Resolves when an instance reaches Redis: sooner than it says that it is ready, or not. */
export async function untilWorking (service: Service): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while ((await call(service, 'GET', '/v1/rooms/lobby')).status !== 200) {
    if (Date.now() > deadline) throw new Error('Redis stays away')
    await sleep(20)
  }
}
