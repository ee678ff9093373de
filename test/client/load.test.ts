import { test } from 'tap'
import { Requests } from '../../client/requests.ts'
import { Room } from '../../client/room.ts'
import type { Position } from '../../client/position.ts'
import type { SentFrame } from '../../client/link.ts'
import { Random } from '../chaos/random.ts'
import { ManualClock } from '../support/manual-clock.ts'

const RUNS = Number(process.env.FUZZ_RUNS ?? 300)

/** Lets all steps that wait for no timer happen: the room imports the code that loads the state. */
async function turn (): Promise<void> {
  await import('../../client/load-state.ts')
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** A room, and the service behind it, which knows all messages up to its top and repeats those after a position. */
class Scene {
  readonly clock = new ManualClock()
  readonly seen: number[] = []
  readonly errors: string[] = []
  readonly room: Room
  readonly requests: Requests
  epoch = 1
  top = 0
  hasHistory = true
  isUp = true
  isJoined = false
  /** What the service answers, and when the client asks. */
  sent: SentFrame[] = []

  constructor () {
    this.requests = new Requests(this.clock, (frame) => { this.sent.push(frame) }, () => {})
    this.requests.onOpen(false)
    this.room = new Room('lobby', {
      clock: this.clock,
      requests: this.requests,
      isClosed: () => false,
      publish: async () => ({ room: 'lobby' }),
      history: async () => await new Promise(() => {}),
      onUse: () => {},
      onLeft: () => {},
      report: ({ code }) => { this.errors.push(code) }
    })
    this.room.on('message', ({ data }) => { this.seen.push(data as number) })
  }

  get position (): Position {
    return { epoch: `e${this.epoch}`, offset: this.top }
  }

  answer (): void {
    for (const frame of this.sent.splice(0)) {
      if (frame.type === 'leave') {
        this.isJoined = false
        this.requests.take({ type: 'left', room: 'lobby', id: frame.id })
      }
      if (frame.type !== 'join') continue
      this.isJoined = true
      const { since, id } = frame
      const recovered = since?.epoch === `e${this.epoch}`
      const missed = recovered ? this.top - since.offset : 0
      const position = this.hasHistory ? this.position : {}
      const resumed = since !== undefined && { recovered, ...(recovered && { missed }) }
      this.requests.take({ type: 'joined', room: 'lobby', id, audience: 1, ...position, ...resumed })
      for (let offset = this.top - missed + 1; offset <= this.top; offset++) this.#tell(offset)
    }
  }

  publish (): void {
    this.top++
    if (this.isUp && this.isJoined) this.#tell(this.top)
  }

  #tell (offset: number): void {
    const frame = { type: 'message' as const, room: 'lobby', from: 'a', time: 1, data: this.epoch * 1_000 + offset }
    this.room.onFrame(this.hasHistory ? { ...frame, offset } : frame)
  }

  cut (): void {
    this.sent = []
    this.isUp = this.isJoined = false
    this.requests.onDown(1006)
    this.room.onDown()
  }

  reconnect (): void {
    this.isUp = true
    this.requests.onOpen(false)
  }

  reset (): void {
    if (!this.isJoined || this.room.state !== 'joined') return
    this.epoch++
    this.top = 0
    this.room.onFrame({ type: 'reset', room: 'lobby', reason: 'epoch', ...this.position })
  }
}

test('a second load while the first one runs gets the messages after its position', async (t) => {
  const scene = new Scene()
  const calls: { position: Position | undefined, signal: AbortSignal, end: (position?: Position) => void }[] = []
  const load = async (position: Position | undefined, { signal }: { signal: AbortSignal }): Promise<Position | undefined> => (
    await new Promise((resolve) => { calls.push({ position, signal, end: resolve }) })
  )
  scene.room.join({ load }).catch(() => {})
  scene.answer()
  await turn()
  scene.publish()
  scene.publish()
  scene.room.join({ load }).catch(() => {})
  await turn()
  scene.publish()
  t.ok(calls[0]?.signal.aborted)
  calls[0]?.end()
  calls[1]?.end()
  await turn()
  t.strictSame(calls.map(({ position }) => position), [{ epoch: 'e1', offset: 0 }, { epoch: 'e1', offset: 0 }])
  t.strictSame(scene.seen, [1_001, 1_002, 1_003])
  for (const odd of [5, 'text', { epoch: 'e1', offset: '9' }, { epoch: 'e1' }, [], null] as unknown[]) {
    scene.room.join({ load: (() => odd) as never }).catch(() => {})
    await turn()
    scene.publish()
  }
  t.equal(scene.seen.length, 9, 'a result that is no position moves nothing')
  t.equal(scene.room.position?.offset, 9)
})

test('state and messages together are complete, whatever happens meanwhile', async (t) => {
  let loads = 0
  for (let seed = 1; seed <= RUNS; seed++) {
    const random = new Random(seed)
    const scene = new Scene()
    /** The messages that the application has: by its state, and on top of it. */
    let state: number[] = []
    const ends: (() => void)[] = []
    const load = async (position: Position | undefined, { signal }: { signal: AbortSignal }): Promise<Position | undefined> => {
      loads++
      const kind = random.between(0, 4)
      if (kind === 0) await Promise.reject(new Error('at once'))
      if (kind > 1) await new Promise<void>((resolve) => { ends.push(resolve) })
      if (signal.aborted) return
      const now = random.between(0, 1) === 0 || position === undefined ? scene.position : position
      if (kind === 3) throw new Error('failed')
      scene.seen.length = 0
      state = Array.from({ length: now.offset }, (_, i) => scene.epoch * 1_000 + i + 1)
      return now
    }
    const steps: (() => void)[] = [
      () => { scene.publish() }, () => { scene.publish() }, () => { scene.publish() }, () => { scene.answer() }, () => { scene.cut() },
      () => { scene.reconnect() }, () => { scene.reset() }, () => { ends.shift()?.() }, () => { ends.pop()?.() },
      () => { scene.room.join({ load }).catch(() => {}) }, () => { void scene.room.leave() }, () => { scene.clock.tick(1_000) }
    ]
    scene.room.join({ load }).catch(() => {})
    for (let count = random.between(5, 40); count > 0; count--) {
      random.pick(steps)()
      if (random.between(0, 1) === 0) await turn()
    }
    scene.room.join({ load }).catch(() => {})
    if (!scene.isUp) scene.reconnect()
    for (let i = 0; i < 40; i++) {
      scene.answer()
      for (const end of ends.splice(0)) end()
      await turn()
      scene.clock.tick(31_000)
    }
    scene.publish()
    const all = Array.from({ length: scene.top }, (_, i) => scene.epoch * 1_000 + i + 1)
    if (JSON.stringify([...state, ...scene.seen]) !== JSON.stringify(all)) {
      t.strictSame([...state, ...scene.seen], all, `seed ${seed}`)
      break
    }
    if (scene.errors.some((code) => code !== 'load_failed')) t.fail(`seed ${seed}: ${scene.errors.join()}`)
  }
  t.comment(`${RUNS} runs, ${loads} loads`)
})
