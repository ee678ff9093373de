import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { Position } from '../../src/protocol/position.ts'
import { makeToken } from '../support/token.ts'
import type { Frame } from '../support/websocket-client.ts'
import type { Random } from './random.ts'
import type { MessageId, Sight, View } from './records.ts'

/** A connection that says nothing for this long is asked, and after as long again given up, ms: its instance may be frozen. */
const SILENCE_MS = 2_000
/** How long it stays, at the least and at the most, ms: people go from page to page. */
const STAY_MS = [500, 10_000] as const
/** Until it comes back, at the least and at the most, ms. */
const RETRY_MS = [20, 400] as const

export interface SubscriberOptions {
  user: string
  rooms: string[]
  /** Names its room in the URL instead of joining it by a frame; then it has one, beside the automatic ones. */
  byUrl: boolean
  /** Where the instances are, some of which may be down. */
  urls: string[]
  random: Random
  /** ms since the start of the run. */
  now: () => number
  onIncident: (text: string) => void
}

/** Somebody who listens. */
export interface Listener {
  readonly views: View[]
  readonly resumes: number
  readonly recovered: number
  readonly delivered: number
  start (): void
  stop (): void
  /** Does not go by itself any more. */
  stay (): void
  /** Breaks the connection, as the network does. */
  drop (): void
  /** Where it is in a room; undefined while it is not in it. */
  position (room: string): Position | undefined
}

/** What it knows of a room. */
interface Place {
  view: View
  last: Position | undefined
  /** It has asked to join, and what comes before the answer is from before. */
  waiting: boolean
}

/**
 * Somebody who listens, goes now and then, and comes back, as whenever the connection breaks: with the position of the
 * last message. Everything is written down.
 */
export class Subscriber implements Listener {
  readonly #options: SubscriberOptions
  readonly #places = new Map<string, Place>()
  #ws: WebSocket | undefined
  #heardAt = 0
  #stopped = false
  #stays = false
  resumes = 0
  recovered = 0
  delivered = 0

  constructor (options: SubscriberOptions) {
    this.#options = options
    for (const room of options.rooms) {
      this.#places.set(room, { view: { subscriber: options.user, room, sights: [] }, last: undefined, waiting: true })
    }
  }

  get views (): View[] {
    return [...this.#places.values()].map(({ view }) => view)
  }

  start (): void {
    void this.#run()
  }

  stop (): void {
    this.#stopped = true
    this.#ws?.terminate()
  }

  stay (): void {
    this.#stays = true
  }

  drop (): void {
    this.#ws?.terminate()
  }

  position (room: string): Position | undefined {
    const place = this.#places.get(room)
    return place?.waiting === false ? place.last : undefined
  }

  async #run (): Promise<void> {
    const { random } = this.#options
    while (!this.#stopped) {
      await this.#connect(random.pick(this.#options.urls))
      await sleep(random.between(...RETRY_MS))
    }
  }

  /** Resolves when the connection is over. */
  async #connect (url: string): Promise<void> {
    const { user, byUrl, now } = this.#options
    const token = makeToken({ sub: user })
    const [named] = byUrl ? [...this.#places.keys()].filter((room) => !room.startsWith('@')) : []
    const since = named === undefined ? undefined : this.#places.get(named)?.last
    const query = named === undefined ? '' : `&room=${named}${since === undefined ? '' : `&since=${since.epoch}:${since.offset}`}`
    const ws = new WebSocket(`${url.replace('http', 'ws')}/ws?token=${token}${query}`, { handshakeTimeout: SILENCE_MS })
    this.#ws = ws
    this.#heardAt = now()
    ws.on('open', () => {
      for (const room of this.#places.keys()) if (room !== named) this.#join(ws, room)
    })
    ws.on('message', (data) => {
      this.#heardAt = now()
      if (ws === this.#ws) this.#receive(ws, JSON.parse(String(data)) as Frame, named)
    })
    ws.on('error', () => {})
    const watch = setInterval(() => {
      const silence = now() - this.#heardAt
      if (silence > 2 * SILENCE_MS) ws.terminate()
      else if (silence > SILENCE_MS && ws.readyState === WebSocket.OPEN) ws.send('{"type":"ping"}')
    }, SILENCE_MS / 4)
    const stay = setTimeout(() => { if (!this.#stays) ws.close() }, this.#options.random.between(...STAY_MS))
    const code = await new Promise<number>((resolve) => { ws.on('close', resolve) })
    clearTimeout(stay)
    clearInterval(watch)
    for (const place of this.#places.values()) {
      const { view: { sights } } = place
      place.waiting = true // It is in no room until it has joined again.
      if (sights.length > 0 && sights.at(-1)?.kind !== 'closed') sights.push({ kind: 'closed', at: now(), code })
    }
  }

  #join (ws: WebSocket, room: string): void {
    const place = this.#places.get(room) as Place
    if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify({ type: 'join', room, since: place.last, id: room }))
  }

  #receive (ws: WebSocket, frame: Frame, named: string | undefined): void {
    const { now, onIncident } = this.#options
    if (frame.type === 'error') {
      const room = (frame.id ?? named) as string
      if (frame.retryable !== true) onIncident(`${this.#options.user} was refused in ${room}: ${JSON.stringify(frame)}`)
      setTimeout(() => { if (ws === this.#ws) this.#join(ws, room) }, 200)
      return
    }
    const place = this.#places.get(frame.room as string)
    if (place === undefined) return
    const { sights } = place.view
    const position = { epoch: frame.epoch as string, offset: frame.offset as number }
    if (frame.type === 'joined') {
      const since = place.last
      if (since !== undefined) this.resumes++
      if (frame.recovered === true) this.recovered++
      sights.push({
        kind: 'joined',
        at: now(),
        position,
        since,
        recovered: frame.recovered as boolean | undefined,
        missed: frame.missed as number | undefined
      })
      place.waiting = false
      if (frame.recovered !== true) place.last = position
    } else if (place.waiting && place.view.room.startsWith('@')) {
      // Of an automatic room, before it was resumed: comes again behind the answer.
    } else if (frame.type === 'reset') {
      sights.push({ kind: 'reset', at: now(), position, reason: frame.reason as string })
      place.last = position
    } else if (frame.type === 'message') {
      this.delivered++
      sights.push({ kind: 'message', at: now(), offset: position.offset, id: frame.data as MessageId })
      if (place.last !== undefined) place.last = { epoch: place.last.epoch, offset: position.offset }
    }
  }
}

/** Whether somebody has seen an end of a room that is at a position. */
export function isAt (seen: Position | undefined, { epoch, offset }: Position): boolean {
  return seen?.epoch === epoch && seen.offset === offset
}

export type { Sight }
