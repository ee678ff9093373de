import { setTimeout as sleep } from 'node:timers/promises'
import type { RoomcastError } from '../../client/node.ts'
import { connectSdk, type SdkClient } from './sdk.ts'
import type { PublisherOptions, Speaker } from './publisher.ts'
import type { Publish } from './records.ts'

/** Between two messages, ms. */
const PAUSE_MS = [0, 8] as const
/** A publish without an answer for this long is `unknown`, by the longer of both clocks, ms. */
const KNOWN_MS = 4 * 60_000

/** Somebody who publishes with the SDK, one message after the other: that one sees to it that each is acknowledged. */
export class SdkPublisher implements Speaker {
  readonly publishes: Publish[] = []
  readonly #options: PublisherOptions
  readonly sdk: SdkClient
  #stopping = false
  #running: Promise<void> | undefined

  constructor (options: PublisherOptions) {
    this.#options = options
    this.sdk = connectSdk({ sub: `publisher-${options.number}` }, options.urls, options.random, ['websocket', 'events'])
  }

  start (): void {
    this.#running = this.#run()
  }

  async finish (deadline: number): Promise<void> {
    this.#stopping = true
    await Promise.race([this.#running, sleep(Math.max(0, deadline - this.#options.now()))])
    this.sdk.client.close()
  }

  async #run (): Promise<void> {
    const { number, random, now, onIncident } = this.#options
    const rooms = this.#options.rooms.filter((room) => !room.startsWith('@'))
    for (const name of rooms) this.sdk.client.room(name).join().catch(() => {})
    while (!this.#stopping) {
      const room = random.pick(rooms)
      const publish: Publish = {
        id: `${number}:${this.publishes.length}`, publisher: number, room, firstAt: now(), attempts: ['by the SDK']
      }
      this.publishes.push(publish)
      const aheadMs = this.sdk.clock.aheadMs
      try {
        const { epoch = '', offset = 0 } = await this.sdk.client.room(room).publish(publish.id)
        publish.acknowledged = { at: now(), position: { epoch, offset }, replayed: false }
      } catch (error) {
        const ageMs = now() - publish.firstAt + this.sdk.clock.aheadMs - aheadMs
        publish.isUnknown = (error as RoomcastError).code === 'unknown' && ageMs >= KNOWN_MS
        if (!publish.isUnknown && !this.#stopping) onIncident(`publisher ${number}: ${String(error)}`)
      }
      // Like somebody who walks through a tunnel.
      if (random.between(0, 200) === 0) this.sdk.drop()
      await sleep(random.between(...PAUSE_MS))
    }
  }
}
