import { setTimeout as sleep } from 'node:timers/promises'
import type { Room } from '../../client/node.ts'
import type { Position } from '../../src/protocol/position.ts'
import { connectSdk, type SdkClient } from './sdk.ts'
import type { MessageId, View } from './records.ts'
import type { Listener, SubscriberOptions } from './subscriber.ts'

/** How long a connection is left alone, at the least and at the most, ms. */
const STAY_MS = [500, 10_000] as const

/** What it knows of a room. */
interface Place {
  room: Room
  view: View
  last: Position | undefined
}

/** Somebody who listens with the SDK: what that gives its user is written down. */
export class SdkSubscriber implements Listener {
  readonly #options: SubscriberOptions
  readonly sdk: SdkClient
  readonly #places: Place[]
  #stays = false
  resumes = 0
  recovered = 0
  delivered = 0

  constructor (options: SubscriberOptions) {
    this.#options = options
    this.sdk = connectSdk({ sub: options.user }, options.urls, options.random, options.byUrl ? ['events'] : ['websocket', 'events'])
    this.#places = options.rooms.map((name) => ({
      room: this.sdk.client.room(name),
      view: { subscriber: options.user, room: name, sights: [] },
      last: undefined
    }))
  }

  get views (): View[] {
    return this.#places.map(({ view }) => view)
  }

  start (): void {
    const { user, onIncident } = this.#options
    this.sdk.client.on('error', (error) => { onIncident(`${user} was refused: ${error.code} ${error.message}`) })
    for (const place of this.#places) {
      this.#listen(place)
      place.room.join().catch(() => {})
    }
    void this.#goAndCome()
  }

  stop (): void {
    this.#stays = true
    this.sdk.client.close()
  }

  stay (): void {
    this.#stays = true
    this.sdk.client.retry() // It may wait for as long as it was away.
  }

  drop (): void {
    this.sdk.drop()
  }

  position (name: string): Position | undefined {
    const place = this.#places.find(({ view }) => view.room === name)
    return place?.room.state === 'joined' ? place.last : undefined
  }

  /** Loses its connection; now and then it leaves a room, and is back as if it never had been there. */
  async #goAndCome (): Promise<void> {
    const { random } = this.#options
    for (;;) {
      await sleep(random.between(...STAY_MS))
      if (this.#stays) return
      this.drop()
      if (random.between(0, 4) > 0) continue
      const { room } = random.pick(this.#places)
      room.leave().catch(() => {})
      room.join().catch(() => {})
    }
  }

  #listen (place: Place): void {
    const { now, user, onIncident } = this.#options
    const { room, view: { sights } } = place
    room.on('state', (state) => {
      if (state === 'refused') onIncident(`${user} was refused in ${room.name}: ${String(room.error)}`)
      if (state === 'joined' || sights.length === 0 || sights.at(-1)?.kind === 'closed') return
      sights.push({ kind: 'closed', at: now(), code: this.sdk.client.status.code ?? 1000 })
    })
    room.on('joined', ({ epoch = '', offset = 0, recovered, missed }) => {
      const position = { epoch, offset }
      const since = recovered === undefined ? undefined : place.last
      if (since !== undefined) this.resumes++
      if (recovered === true) this.recovered++
      sights.push({ kind: 'joined', at: now(), position, since, recovered, missed })
      if (recovered !== true) place.last = position
    })
    room.on('reset', ({ epoch = '', offset = 0, reason }) => {
      place.last = { epoch, offset }
      // What `joined` has said already.
      const before = sights.at(-1)
      if (before?.kind !== 'joined' || before.recovered !== false) sights.push({ kind: 'reset', at: now(), position: place.last, reason })
    })
    room.on('message', ({ epoch = '', offset = 0, data }) => {
      this.delivered++
      sights.push({ kind: 'message', at: now(), offset, id: data as MessageId })
      place.last = { epoch, offset }
    })
  }
}
