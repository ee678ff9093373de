import { test } from 'tap'
import { Feed } from '../../client/feed.ts'
import type { Message } from '../../client/index.ts'
import { RoomListeners } from '../../client/room-listeners.ts'
import type { Load } from '../../client/room-events.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { until } from '../support/until.ts'

interface Made {
  feed: Feed<number>
  /** Payloads, and the other events by their names. */
  seen: unknown[]
  rejoins: () => number
  enter: (offset: number, more?: { recovered?: boolean, missed?: number, epoch?: string }) => void
  message: (offset: number) => void
}

/** A feed whose history is that of the function. */
function makeFeed (readHistory: (after: number) => number[] | Error = () => new Error('there is no history')): Made {
  const listeners = new RoomListeners<number>()
  const seen: unknown[] = []
  let rejoins = 0
  listeners.on('reset', (({ reason }: { reason: string }) => { seen.push(`reset ${reason}`) }) as (value: never) => void)
  const feed = new Feed<number>({
    room: 'lobby',
    clock: new ManualClock(),
    listeners,
    onMessage: ({ data }: Message<number>) => { seen.push(data) },
    onJoined: ({ recovered, missed }) => { seen.push(recovered === undefined ? 'joined' : `joined ${recovered} ${missed ?? ''}`.trim()) },
    readHistory: async ({ after = 0 }) => {
      const page = readHistory(after)
      if (page instanceof Error) throw page
      const messages = page.map((offset) => ({ type: 'message' as const, room: 'lobby', offset, from: 'bob', time: 1, data: offset }))
      const last = page.at(-1)
      const next = last !== undefined && { next: last }
      return { type: 'history', id: 1, room: 'lobby', epoch: 'e', offset: 900, recovered: true, messages, ...next }
    },
    rejoin: () => { rejoins++ },
    onLoaded: () => { seen.push('loaded') },
    report: ({ code }) => { seen.push(code) }
  })
  return {
    feed,
    seen,
    rejoins: () => rejoins,
    enter: (offset, { epoch = 'e', ...more } = {}) => {
      feed.enter({ type: 'joined', room: 'lobby', epoch, offset, audience: 1, ...more })
    },
    message: (offset) => { feed.take({ type: 'message', room: 'lobby', offset, from: 'bob', time: 1, data: offset }) }
  }
}

/** A load that ends when the test says so. */
function makeLoad (): { load: Load, calls: unknown[], end: (position?: { epoch: string, offset: number }) => void } {
  const calls: unknown[] = []
  let end: (position?: { epoch: string, offset: number }) => void = () => {}
  const load: Load = async (position) => {
    calls.push(position)
    return await new Promise((resolve) => { end = resolve })
  }
  return { load, calls, end: (position) => { end(position) } }
}

test('messages wait for the load, and those that its state has are left out', async (t) => {
  const { feed, seen, enter, message } = makeFeed()
  const { load, calls, end } = makeLoad()
  feed.use(load, true, false)
  enter(0)
  for (const offset of [1, 2, 3]) message(offset)
  await until(() => calls.length === 1)
  t.strictSame(calls, [{ epoch: 'e', offset: 0 }])
  end({ epoch: 'e', offset: 2 })
  await until(() => seen.includes('loaded'))
  message(4)
  t.strictSame(seen, ['joined', 3, 'loaded', 4])
})

test('a stream that is opened again during a load repeats messages, and none is lost', async (t) => {
  const { feed, seen, enter, message } = makeFeed()
  const { load, calls, end } = makeLoad()
  feed.use(load, true, false)
  enter(0)
  for (const offset of [1, 2, 3]) message(offset)
  enter(4, { recovered: true, missed: 4 })
  for (const offset of [1, 2, 3, 4, 5]) message(offset)
  await until(() => calls.length === 1)
  end()
  await until(() => seen.includes('loaded'))
  t.strictSame(seen.filter((one) => typeof one === 'number'), [1, 2, 3, 4, 5])
})

test('a load that was asked for while the room resumes is called when it has', async (t) => {
  const { feed, seen, enter, message } = makeFeed()
  const { load, calls, end } = makeLoad()
  enter(3)
  feed.pause()
  feed.use(load, true, false)
  enter(4, { recovered: true, missed: 1 })
  message(4)
  await until(() => calls.length === 1)
  t.strictSame(calls, [{ epoch: 'e', offset: 3 }])
  end()
  await until(() => seen.includes('loaded'))
  t.strictSame(seen, ['joined', 'joined true 1', 4, 'loaded'])
})

test('a reset during a load begins another load, and the first one has no effect', async (t) => {
  const { feed, seen, enter, message } = makeFeed()
  const calls: AbortSignal[] = []
  const ends: (() => void)[] = []
  const load: Load = async (_position, { signal }) => {
    calls.push(signal)
    await new Promise<void>((resolve) => { ends.push(resolve) })
  }
  feed.use(load, true, false)
  enter(0)
  message(1)
  await until(() => calls.length === 1)
  feed.reset({ type: 'reset', room: 'lobby', epoch: 'f', offset: 0, reason: 'epoch' })
  message(1)
  await until(() => calls.length === 2)
  t.strictSame(calls.map(({ aborted }) => aborted), [true, false])
  for (const end of ends) end()
  await until(() => seen.includes('loaded'))
  t.strictSame(seen, ['joined', 'reset epoch', 1, 'loaded'])
})

test('missed messages beyond a page come from the history, and those after them from the next join', async (t) => {
  const { feed, seen, rejoins, enter, message } = makeFeed((after) => [1, 2, 3].map((i) => after + i))
  enter(10)
  feed.pause()
  enter(20, { recovered: false })
  await until(() => rejoins() === 1)
  t.strictSame(feed.since, { epoch: 'e', offset: 20 })
  t.strictSame(feed.position, { epoch: 'e', offset: 10 }, 'nothing is delivered yet')
  feed.pause()
  enter(22, { recovered: true, missed: 2 })
  for (const offset of [21, 22, 23]) message(offset)
  t.strictSame(seen, ['joined', 'joined true 12', ...Array.from({ length: 13 }, (_, i) => 11 + i)])
  t.strictSame(feed.position, { epoch: 'e', offset: 23 })
})

test('a gap is reported where the history does not have the messages', async (t) => {
  for (const history of [() => new Error('forbidden'), () => []]) {
    const { feed, seen, rejoins, enter } = makeFeed(history)
    enter(10)
    feed.pause()
    enter(20, { recovered: false, epoch: 'g' })
    t.equal(rejoins(), 0, 'another epoch is a gap at once')
    t.strictSame(seen, ['joined', 'joined false', 'reset history'])
    feed.pause()
    enter(30, { recovered: false, epoch: 'g' })
    await until(() => rejoins() === 1)
    feed.pause()
    enter(31, history() instanceof Error ? {} : { recovered: false })
    if (history() instanceof Error) t.strictSame(seen.slice(3), ['joined false', 'reset history'])
  }
})

test('a listener that leaves the room ends the delivery', async (t) => {
  const { feed, seen, enter, message } = makeFeed()
  const { load, calls, end } = makeLoad()
  feed.use(load, true, false)
  enter(0)
  for (const offset of [1, 2, 3]) message(offset)
  await until(() => calls.length === 1)
  const push = seen.push.bind(seen)
  seen.push = (one) => {
    if (one === 1) feed.clear()
    return push(one)
  }
  end()
  await until(() => seen.includes('loaded'))
  t.strictSame(seen, ['joined', 1, 'loaded'])
})
