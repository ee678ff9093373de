import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../support/redis-server.ts'
import type { TcpProxy } from '../support/tcp-proxy.ts'
import type { Instance } from './instance.ts'
import type { Fault } from './schedule.ts'
import type { SdkClient } from './sdk.ts'
import type { Listener } from './subscriber.ts'

export interface Victims {
  redis: RedisServer
  /** One before Redis for each instance. */
  proxies: TcpProxy[]
  instances: Instance[]
  subscribers: Listener[]
  sdkClients: SdkClient[]
  /** ms since the start of the run. */
  now: () => number
}

/** Does what the schedule says. */
export class Nemesis {
  /** How often each fault was carried out. */
  readonly counts = new Map<string, number>()
  /** When the last one was over, ms since the start. */
  healedAt = 0
  readonly #victims: Victims
  /** What is being done to Redis: reading its data when it starts may take longer than the schedule thought. */
  #redis = Promise.resolve()

  constructor (victims: Victims) {
    this.#victims = victims
  }

  /** Resolves when everything was done and is over. */
  async carryOut (schedule: Fault[], log: { at: number, text: string }[]): Promise<void> {
    const { now } = this.#victims
    await Promise.all(schedule.map(async (fault) => {
      await sleep(Math.max(0, fault.at - now()))
      this.counts.set(fault.name, (this.counts.get(fault.name) ?? 0) + 1)
      log.push({ at: now(), text: describe(fault) })
      await this.#carryOut(fault)
      this.healedAt = Math.max(this.healedAt, now())
    }))
  }

  async #carryOut ({ name, ms, instance: number, amount }: Fault): Promise<void> {
    const { redis, proxies, instances, subscribers, sdkClients } = this.#victims
    // All clients in half of the cases, and otherwise every third one.
    const disturbed = sdkClients.filter((_, i) => amount % 2 === 0 || (i + amount) % 3 === 0)
    const proxy = proxies[number] as TcpProxy
    const instance = instances[number] as Instance
    switch (name) {
      case 'kill the pub/sub connections':
      case 'kill the command connections':
        // Redis may be away, and who asks it may then wait for ever.
        await Promise.race([
          redis.command('CLIENT', 'KILL', 'TYPE', name.includes('pub/sub') ? 'pubsub' : 'normal').catch(() => {}),
          sleep(2_000)
        ])
        return
      case 'freeze Redis':
        await this.#afterThat(async () => {
          redis.freeze()
          await sleep(ms)
          redis.thaw()
        })
        return
      case 'kill Redis, start it again':
        await this.#afterThat(async () => {
          await redis.kill()
          await sleep(ms)
          await redis.start()
        })
        return
      case 'cut the network to Redis':
        proxy.cut()
        break
      case 'delay the network to Redis':
        proxy.delay(amount)
        break
      case 'hold the network to Redis':
        proxy.hold()
        break
      case 'deafen the pub/sub connection':
        proxy.deafen()
        break
      case 'swallow a reply of Redis':
        proxy.swallowReplies()
        break
      case 'kill an instance, start another':
        instance.end('SIGKILL', ms)
        await sleep(ms)
        return
      case 'drain an instance, start another':
        instance.end('SIGTERM', 0)
        await sleep(ms)
        return
      case 'freeze an instance':
        instance.freeze()
        await sleep(ms)
        instance.thaw()
        return
      case 'drop connections of clients':
        for (const [i, subscriber] of subscribers.entries()) if ((i * 7 + amount) % 4 === 0) subscriber.drop()
        return
      case 'set the clock of SDK clients forward':
      case 'set the clock of SDK clients back':
        for (const { clock } of disturbed) clock.jump((name.endsWith('back') ? -1_000 : 1_000) * amount)
        return
      case 'stop the timers of SDK clients':
        for (const { clock } of disturbed) clock.stop()
        await sleep(ms)
        for (const { clock } of disturbed) clock.go()
        return
      case 'put SDK clients to sleep':
        for (const { clock, drop } of disturbed) {
          clock.sleep()
          drop()
        }
        await sleep(ms)
        for (const { clock } of disturbed) {
          clock.jump(amount * 1_000)
          clock.go()
        }
        return
    }
    await sleep(ms)
    proxy.heal()
  }

  async #afterThat (act: () => Promise<void>): Promise<void> {
    await (this.#redis = this.#redis.then(act))
  }
}

function describe ({ name, ms, instance, amount }: Fault): string {
  const where = /network|reply|deafen|an instance/.test(name) ? `, instance ${instance}` : ''
  return `${name}${where}${ms > 0 ? `, for ${ms} ms` : ''}${name.startsWith('delay') ? `, by ${amount} ms` : ''}` +
    (name.includes('SDK') && !name.startsWith('stop') ? `, by ${amount} s` : '')
}
