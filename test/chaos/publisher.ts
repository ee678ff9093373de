import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { Position } from '../../src/protocol/position.ts'
import { makeToken } from '../support/token.ts'
import type { Frame } from '../support/websocket-client.ts'
import type { Random } from './random.ts'
import type { Publish } from './records.ts'

/** An answer that takes longer than this is none, ms. */
const PATIENCE_MS = 4_000
/** Between two messages, and before a message is tried again, ms. */
const PAUSE_MS = [0, 8] as const
const RETRY_MS = [20, 200] as const

export interface PublisherOptions {
  number: number
  rooms: string[]
  urls: string[]
  random: Random
  now: () => number
  onIncident: (text: string) => void
}

/** Somebody who publishes. */
export interface Speaker {
  readonly publishes: Publish[]
  start (): void
  /** Resolves when the message under way is acknowledged, or the deadline has passed, ms since the start. */
  finish (deadline: number): Promise<void>
}

/** What came of one attempt. */
interface Answer {
  text: string
  acknowledged?: { position: Position, replayed: boolean }
}

/**
 * Somebody who publishes, one message after the other, each until it is acknowledged: every attempt with the same
 * key, to any instance, over REST or by a frame.
 */
export class Publisher implements Speaker {
  readonly publishes: Publish[] = []
  readonly #options: PublisherOptions
  readonly #token: string
  #ws: WebSocket | undefined
  #joined = new Set<string>()
  readonly #waiting = new Map<string, (answer: Answer) => void>()
  #stopping = false
  #running: Promise<void> | undefined

  constructor (options: PublisherOptions) {
    this.#options = options
    this.#token = makeToken({ sub: `publisher-${options.number}`, rooms: { '**': ['*'], '@all': ['*'], '@user:*': ['*'] } })
  }

  start (): void {
    this.#running = this.#run()
  }

  async finish (deadline: number): Promise<void> {
    this.#stopping = true
    await Promise.race([this.#running, sleep(Math.max(0, deadline - this.#options.now()))])
    this.#options.urls.length = 0
    this.#ws?.terminate()
  }

  async #run (): Promise<void> {
    const { number, rooms, random, now } = this.#options
    for (let i = 1; !this.#stopping; i++) {
      const publish: Publish = { id: `${number}:${i}`, publisher: number, room: random.pick(rooms), firstAt: now(), attempts: [] }
      this.publishes.push(publish)
      while (this.#options.urls.length > 0) {
        const { text, acknowledged } = await this.#attempt(publish)
        publish.attempts.push(text)
        if (acknowledged !== undefined) {
          publish.acknowledged = { at: now(), ...acknowledged }
          break
        }
        await sleep(random.between(...RETRY_MS))
      }
      await sleep(random.between(...PAUSE_MS))
    }
  }

  async #attempt (publish: Publish): Promise<Answer> {
    const { random, urls } = this.#options
    const url = random.pick(urls)
    // Only who is it may join a user's own room.
    if (publish.room.startsWith('@user:') || random.next() < 0.6) return await this.#post(url, publish)
    return await this.#send(url, publish)
  }

  async #post (url: string, { id, room }: Publish): Promise<Answer> {
    const path =
      room === '@all'
        ? '/v1/broadcast'
        : room.startsWith('@user:')
          ? `/v1/users/${room.slice('@user:'.length)}/messages`
          : `/v1/rooms/${room}/messages`
    try {
      const response = await fetch(url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json', 'idempotency-key': id },
        body: JSON.stringify({ data: id }),
        signal: AbortSignal.timeout(PATIENCE_MS)
      })
      const body = await response.json() as { epoch: string, offset: number, code?: string, retryable?: boolean }
      if (response.status === 201) {
        return {
          text: 'REST 201',
          acknowledged: { position: { epoch: body.epoch, offset: body.offset }, replayed: response.headers.has('idempotent-replayed') }
        }
      }
      if (body.retryable !== true) this.#options.onIncident(`message ${id} was refused with ${response.status} ${JSON.stringify(body)}`)
      return { text: `REST ${response.status} ${body.code}` }
    } catch (error) {
      return { text: `REST ${(error as Error).name}` }
    }
  }

  async #send (url: string, { id, room }: Publish): Promise<Answer> {
    const ws = this.#connection(url)
    const timer = new AbortController()
    const answer = new Promise<Answer>((resolve) => { this.#waiting.set(id, resolve) })
    const frames = [
      ...(this.#joined.has(room) || room === '@all' ? [] : [{ type: 'join', room, id: `join ${room}` }]),
      { type: 'publish', room, data: id, key: id, id }
    ]
    const send = (): void => { for (const frame of frames) ws.send(JSON.stringify(frame)) }
    if (ws.readyState === WebSocket.OPEN) send()
    else ws.once('open', send)
    const result = await Promise.race([answer, sleep(PATIENCE_MS, { text: 'frame timeout' }, { signal: timer.signal })])
    timer.abort()
    this.#waiting.delete(id)
    if (result.text === 'frame timeout') ws.terminate()
    return result
  }

  /** The one it has, or another. */
  #connection (url: string): WebSocket {
    if (this.#ws !== undefined && this.#ws.readyState <= WebSocket.OPEN) return this.#ws
    const ws = new WebSocket(`${url.replace('http', 'ws')}/ws?token=${this.#token}`, { handshakeTimeout: PATIENCE_MS })
    this.#ws = ws
    this.#joined = new Set()
    ws.on('error', () => {})
    ws.on('close', () => {
      for (const resolve of this.#waiting.values()) resolve({ text: 'frame closed' })
    })
    ws.on('message', (data) => { this.#receive(JSON.parse(String(data)) as Frame) })
    return ws
  }

  #receive (frame: Frame): void {
    if (frame.type === 'joined') this.#joined.add(frame.room as string)
    const resolve = this.#waiting.get(frame.id as string)
    if (frame.type === 'ack') {
      resolve?.({
        text: 'frame ack',
        acknowledged: { position: { epoch: frame.epoch as string, offset: frame.offset as number }, replayed: false }
      })
    }
    if (frame.type !== 'error') return
    // A join that was refused is followed by its publish, which says not_joined.
    if (frame.retryable !== true && frame.code !== 'not_joined') this.#options.onIncident(`a frame was refused: ${JSON.stringify(frame)}`)
    resolve?.({ text: `frame ${String(frame.code)}` })
  }
}
