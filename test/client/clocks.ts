import type { Test } from 'tap'
import type { Client, Message, Room, RoomcastError } from '../../client/index.ts'
import { type Twin, twin } from '../../client/testing/index.ts'
import { DisturbedClock } from '../support/disturbed-clock.ts'

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS

/** The start of the time of day, ms since 1970. */
const START = 1_764_000_000_000
/** A name that reads as the claims of a token: the tokens of the twin contain the name of their user. This one expires in a minute. */
const USER = btoa(JSON.stringify({ exp: START / 1_000 + 60 })).replace(/=/g, '')

/** A client with its own clock on a twin, and the records of its events. */
export class World {
  readonly service: Twin
  readonly clock: DisturbedClock
  readonly client: Client
  readonly room: Room
  /** The payloads and resets that the client has received. */
  readonly seen: unknown[] = []
  /** The reasons for which connections and attempts have ended while the network was good. */
  readonly ends: string[] = []
  /** The reasons for which they have ended on a silent network. */
  readonly silentEnds: string[] = []
  /** The offsets of the acknowledged messages, by their payloads. */
  readonly acknowledged = new Map<unknown, number | undefined>()
  /** The times of day at which the token function was called. */
  readonly asked: number[] = []
  /** The token function returns nothing to the calls from now on. */
  hangs = false
  #network: 'good' | 'cut' | 'silent' = 'good'

  private constructor (service: Twin) {
    this.service = service
    this.clock = new DisturbedClock(service.clock)
    const { token } = service.options(USER)
    this.client = service.connect(USER, {
      clock: this.clock,
      token: async () => {
        this.asked.push(this.clock.wall())
        return this.hangs ? await new Promise<string>(() => {}) : token()
      }
    })
    this.client.on('status', ({ state, reason }) => {
      if (state !== 'waiting' || this.#network === 'cut') return
      const ends = this.#network === 'good' ? this.ends : this.silentEnds
      ends.push(String(reason))
    })
    this.room = this.client.room('lobby')
    this.room.on('message', ({ data }: Message) => { this.seen.push(data) })
    this.room.on('reset', ({ reason }) => { this.seen.push(`reset ${reason}`) })
  }

  /** Starts a twin, and joins the room. */
  static async start (t: Test): Promise<World> {
    const service = await twin({ time: START, history: 100_000, historyTtlMs: 1_000 * HOUR_MS })
    t.teardown(async () => { await service.close() })
    await service.connect('bob').room('lobby').join() // The service forgets a room without members.
    const world = new World(service)
    await world.room.join()
    return world
  }

  /** Publishes, and records the acknowledgement. Resolves with `acknowledged`, or with the code of the error. */
  async publish (data: unknown): Promise<string> {
    return await this.room.publish(data).then(({ offset }) => {
      this.acknowledged.set(data, offset)
      return 'acknowledged'
    }, ({ code }: RoomcastError) => code)
  }

  async cut (): Promise<void> {
    this.#network = 'cut'
    await this.service.cut(USER)
  }

  async silence (): Promise<void> {
    this.#network = 'silent'
    await this.service.silence(USER)
  }

  /** Loses the answers to the next frames, on a network that is good otherwise. */
  async loseAnswers (): Promise<void> {
    this.service.loseAnswers(USER)
    await this.service.settle()
  }

  /** Ends all disturbances. */
  async calm (): Promise<void> {
    this.clock.delay(0)
    this.clock.go()
    await this.interrupt()
  }

  async mend (): Promise<void> {
    this.#network = 'good'
    await this.service.mend(USER)
  }

  /** Loses the connection for a moment, and lets the client return. */
  async interrupt (): Promise<void> {
    await this.cut()
    await this.mend()
    await this.service.advance('2m')
  }

  /** Lets nothing arrive while the process or the machine stands still; then the timers come before the frames. */
  async standStill (stop: () => void, ms: number): Promise<void> {
    const isGood = this.#network === 'good'
    if (isGood) await this.silence()
    stop()
    await this.service.advance(ms)
    this.clock.go()
    await this.service.settle()
    if (isGood) await this.mend()
    await this.service.settle()
  }

  /** Checks the promises of the client: it is connected, and each message is in the room and has arrived exactly once and in order. */
  async conclude (t: Test, name: string): Promise<void> {
    const { service, client, room, seen, acknowledged } = this
    await service.advance('2m')
    const probe = this.publish('probe')
    await service.advance('2m')
    t.strictSame([client.status.state, room.state, await probe], ['connected', 'joined', 'acknowledged'], `${name}: the client works`)
    const messages = service.room('lobby').messages
    const payloads = messages.map(({ data }) => data)
    t.equal(new Set(payloads).size, payloads.length, `${name}: each message is in the room once`)
    t.strictSame(seen, payloads, `${name}: the client has all messages in order`)
    const places = new Map(messages.map(({ data, offset }) => [data, offset]))
    t.strictSame([...acknowledged].filter(([data, offset]) => places.get(data) !== offset), [], `${name}: each answer was true`)
  }
}

/** The disturbances of a clock. */
export const DISTURBANCES = {
  'no disturbance': async () => {},
  'the machine sleeps for 6 minutes, and keeps its connection': async ({ service }: World) => { await service.sleep('6m') },
  'the machine sleeps for 6 minutes, and the service closes its connection': async (world: World) => {
    await world.standStill(() => { world.clock.sleep() }, 6 * MINUTE_MS)
  },
  'the clock is set back by an hour': async ({ clock }: World) => { clock.jump(-HOUR_MS) },
  'the clock is set forward by an hour': async ({ clock }: World) => { clock.jump(HOUR_MS) },
  'the clock jumps back and forth': async ({ clock, service }: World) => {
    for (let i = 0; i < 10; i++) {
      for (const ms of [HOUR_MS, -2 * HOUR_MS, HOUR_MS]) {
        clock.jump(ms)
        await service.advance('1s')
      }
    }
  },
  'timers are 30 s late': async ({ clock, service }: World) => {
    clock.delay(30 * SECOND_MS)
    await service.advance('45s')
  },
  'the process stands still for 3 minutes': async (world: World) => {
    await world.standStill(() => { world.clock.stop() }, 3 * MINUTE_MS)
  }
} satisfies Record<string, (world: World) => Promise<void>>

/** The name of a disturbance. */
export type Disturbance = keyof typeof DISTURBANCES

/** A situation of a client in which its clock is disturbed. */
interface Situation {
  /** Brings the situation about; returns a function that ends it and resolves with the outcome. */
  begin: (world: World) => Promise<() => Promise<string>>
}

/** The name of a situation. */
export type SituationName = keyof typeof SITUATIONS

/** The situations. */
export const SITUATIONS = {
  'a publish whose answer is lost': {
    async begin (world) {
      world.service.loseAnswers(USER)
      const published = world.publish(1)
      await world.service.settle()
      return async () => {
        await world.interrupt()
        return await published
      }
    }
  },
  'a publish that is not sent yet': {
    async begin (world) {
      await world.cut()
      const published = world.publish(1)
      return async () => {
        await world.interrupt()
        return await published
      }
    }
  },
  'a connection that is idle': {
    async begin ({ service }) {
      await service.advance('10s')
      return async () => {
        await service.advance('10m')
        return 'idle'
      }
    }
  },
  'a connection that is dead': {
    async begin (world) {
      await world.silence()
      await world.service.publish('lobby', { data: 1 })
      return async () => {
        await world.service.advance('2m')
        await world.mend()
        await world.service.advance('2m')
        world.ends.length = 0 // An attempt without a network may have been under way.
        return world.silentEnds[0] ?? 'not noticed'
      }
    }
  },
  'a client that waits for its next attempt': {
    async begin (world) {
      await world.cut()
      await world.service.publish('lobby', { data: 1 })
      return async () => {
        await world.mend()
        await world.service.advance('2m')
        return world.client.status.state
      }
    }
  },
  'a token that is about to expire': {
    async begin ({ service, asked }) {
      return async () => {
        await service.expire(USER)
        await service.advance('2m')
        return `asked ${asked.length > 1 ? 'again' : 'once'} for a token`
      }
    }
  },
  'a token function that hangs': {
    async begin (world) {
      const { service, asked } = world
      world.hangs = true
      await service.expire(USER)
      await service.advance('1s')
      world.hangs = false
      return async () => {
        await service.advance('2m')
        return `asked ${asked.length} times for a token`
      }
    }
  },
  'a join without an answer': {
    async begin (world) {
      world.service.loseAnswers(USER)
      const joined = world.client.room('other').join().then(() => 'joined', ({ code }: RoomcastError) => code)
      await world.service.settle()
      return async () => {
        await world.interrupt()
        return await joined
      }
    }
  },
  'a history read without an answer': {
    async begin (world) {
      await world.service.publish('lobby', { data: 1 })
      world.service.loseAnswers(USER)
      const read = world.room.history().then(({ messages }) => `${messages.length} message`, ({ code }: RoomcastError) => code)
      await world.service.settle()
      return async () => {
        await world.interrupt()
        return await read
      }
    }
  }
} satisfies Record<string, Situation>
