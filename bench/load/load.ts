import { setTimeout as sleep } from 'node:timers/promises'
import { type Usage, usageOf } from '../process-usage.ts'
import { Publication, OPCODE } from './frame.ts'
import { now } from './marker.ts'
import { fillTemplate, Members, roomName } from './members.ts'
import type { LoadOptions, LoadResult } from './options.ts'
import { Receiver } from './receiver.ts'
import { RequestLine } from './request-line.ts'

const SETTLE_MS = 300
/** Connections without messages are watched for this long, ms. */
const IDLE_MS = 1_000
const PATIENCE_MS = 5_000
/** How often an open loop looks at the clock, ms: the resolution of timers. */
const TICK_MS = 1
const DEFAULT_TEXT_BYTES = 64

/** Opens connections to a server, publishes through it and measures. */
export async function runLoad (options: LoadOptions): Promise<LoadResult> {
  return await new Load(options).run()
}

/** The counters at one instant. */
interface Sample {
  at: number
  deliveries: number
  answered: number
  usage: Usage
  besides: Usage
  own: NodeJS.CpuUsage
}

class Load {
  readonly #options: LoadOptions
  readonly #receiver: Receiver
  readonly #members: Members
  readonly #publications: Publication[]
  readonly #requests: RequestLine | undefined
  /** Members that a message reaches. */
  readonly #audience: number
  /** Messages that one thing sent publishes. */
  readonly #batch: number
  #sent = 0
  #loadFrom = 0
  #until = 0
  #scheduled = false

  constructor (options: LoadOptions) {
    const {
      members, rooms = 1, everywhere = false, deaf = 0, textBytes = DEFAULT_TEXT_BYTES, via = 'frames', batch = 1, port, publishPort = port
    } = options
    this.#options = options
    this.#receiver = new Receiver(textBytes, () => { this.#pumpSoon() })
    this.#members = new Members(options, this.#receiver)
    this.#audience = everywhere ? members - deaf : (members - deaf) / rooms
    this.#batch = batch
    if (via === 'rest') this.#requests = new RequestLine(publishPort, () => { this.#pumpSoon() })
    this.#publications =
      options.seconds === 0
        ? []
        : Array.from({ length: rooms }, (_, room) => via === 'rest' ? this.#makeRequest(room) : this.#makeFrame(room))
  }

  async run (): Promise<LoadResult> {
    const { members, deaf = 0, warmupSeconds = 0, seconds, patienceMs = PATIENCE_MS, settleMs = SETTLE_MS, pids } = this.#options
    const before = usageOf(pids)
    await this.#members.open()
    await sleep(settleMs)
    const opened = usageOf(pids)
    for (const connection of this.#members.connections.slice(members - deaf, members)) connection.socket.pause()

    if (seconds === 0) await sleep(IDLE_MS)
    const settled = usageOf(pids)
    this.#loadFrom = now()
    this.#until = this.#loadFrom + (warmupSeconds + seconds) * 1e9
    const clock = setInterval(() => { this.#pump() }, this.#options.perSecond === undefined ? 50 : TICK_MS)
    this.#pump()
    await sleep(warmupSeconds * 1_000)
    this.#receiver.latencies.clear()
    const first = this.#sample()
    await sleep(seconds * 1_000)
    const last = this.#sample()
    const { latencies } = this.#receiver
    const latencyUs = {
      p50: latencies.percentile(0.5),
      p90: latencies.percentile(0.9),
      p99: latencies.percentile(0.99),
      p999: latencies.percentile(0.999),
      max: latencies.percentile(1)
    }
    clearInterval(clock)
    await this.#drain(patienceMs)
    const refused = this.#requests?.refused ?? 0
    const lost = (this.#sent - refused) * this.#batch * this.#audience - this.#receiver.deliveries
    const ended = this.#members.ended
    this.#members.close()
    this.#requests?.close()

    const measured = (last.at - first.at) / 1e9
    const deliveries = last.deliveries - first.deliveries
    return {
      members,
      seconds: measured,
      deliveries,
      published: this.#requests === undefined ? deliveries / Math.max(1, this.#audience) : (last.answered - first.answered) * this.#batch,
      lost,
      refused,
      ended,
      latencyUs,
      userSeconds: last.usage.userSeconds - first.usage.userSeconds,
      systemSeconds: last.usage.systemSeconds - first.usage.systemSeconds,
      besidesSeconds: last.besides.userSeconds + last.besides.systemSeconds - first.besides.userSeconds - first.besides.systemSeconds,
      openSeconds: opened.userSeconds + opened.systemSeconds - before.userSeconds - before.systemSeconds,
      bytesBefore: before.bytes,
      bytesAfter: settled.bytes,
      generatorLoad: (last.own.user + last.own.system - first.own.user - first.own.system) / 1e6 / measured
    }
  }

  #sample (): Sample {
    const { pids, besides } = this.#options
    return {
      at: now(),
      deliveries: this.#receiver.deliveries,
      answered: this.#requests?.answered ?? 0,
      usage: usageOf(pids),
      besides: usageOf(besides === undefined ? [] : [besides]),
      own: process.cpuUsage()
    }
  }

  /** After everything that can be read now, as who polls does: then it is known what else may be sent. */
  #pumpSoon (): void {
    if (this.#scheduled || this.#options.perSecond !== undefined) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  /** Sends what may be sent. */
  #pump (): void {
    const { window = 1, perSecond } = this.#options
    const time = now()
    if (this.#publications.length === 0 || time > this.#until) return
    const due = perSecond === undefined ? this.#done + window : (time - this.#loadFrom) / 1e9 * perSecond / this.#batch
    while (this.#sent < due) this.#sendOne()
  }

  /** Of what was sent, how much is over: delivered to everybody on average, or answered. */
  get #done (): number {
    if (this.#requests !== undefined) return this.#requests.answered + this.#requests.refused
    return this.#receiver.deliveries / this.#audience
  }

  #sendOne (): void {
    const room = this.#sent++ % this.#publications.length
    const bytes = (this.#publications[room] as Publication).at(now())
    if (this.#requests === undefined) this.#members.publisherIn(room).socket.write(bytes)
    else this.#requests.send(bytes)
  }

  /** Waits for what is on its way, as long as anything comes. */
  async #drain (patienceMs: number): Promise<void> {
    let seen = -1
    let at = now()
    for (;;) {
      const refused = this.#requests?.refused ?? 0
      const answered = this.#requests === undefined ? 0 : this.#requests.answered + refused
      const due = (this.#sent - refused) * this.#batch * this.#audience
      if (this.#receiver.deliveries >= due && (this.#requests === undefined || answered >= this.#sent)) return
      if (this.#receiver.deliveries + answered !== seen) {
        seen = this.#receiver.deliveries + answered
        at = now()
      }
      if (now() - at > patienceMs * 1e6) return
      await sleep(5)
    }
  }

  #makeFrame (room: number): Publication {
    const { protocol } = this.#options
    return Publication.frame(protocol.binary === true ? OPCODE.binary : OPCODE.text, this.#fill(protocol.publish, room))
  }

  /** A request for a room; a batch goes to as many rooms as it has messages, from that one on. */
  #makeRequest (room: number): Publication {
    const { protocol: { rest }, batch, rooms = 1 } = this.#options
    const request = batch === undefined ? rest?.single : rest?.batch
    if (request === undefined) throw new Error('This server does not publish over HTTP so')
    let { body } = request
    if ('item' in request) {
      const items = Array.from({ length: this.#batch }, (_, i) => this.#fill(request.item as string, (room * this.#batch + i) % rooms))
      body = body.replace('%M', items.join(','))
    }
    body = this.#fill(body, room)
    return Publication.request(
      `POST ${this.#fill(request.path, room)} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${this.#fill('Bearer %K', room)}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    )
  }

  #fill (template: string, room: number): string {
    const { secret, textBytes = DEFAULT_TEXT_BYTES } = this.#options
    return fillTemplate(template, { room: roomName(room), user: 'publisher', secret, textBytes })
  }
}
