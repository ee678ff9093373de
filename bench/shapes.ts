import type { Peer } from './peers.ts'
import type { ShapeResults } from './results.ts'
import type { Load, Stage } from './stage.ts'
import type { Run } from './results.ts'

/** A way of loading servers. */
export interface Shape extends Pick<ShapeResults, 'shape' | 'title' | 'figure' | 'target' | 'points' | 'versus' | 'atLeast'> {
  /** Whose figure the others are divided by; default the naive server's. */
  baseline?: string
  /** More runs than this show nothing more: it is a curve, or a comparison with itself. */
  maxRuns?: number
  /** How a peer takes part: in one way, or in several under different names. */
  ways: (peer: Peer, redis: string | undefined) => Way[]
}

export interface Way {
  name: string
  /** The way another shape takes is the same: it is run once for both. */
  key?: string
  run: (stage: Stage, at: number) => Promise<Run>
}

const HOT = { members: 1_000, window: 64, warmupSeconds: 0.4, seconds: 1.5 }
/** Over Redis a run is on servers that have done nothing before. */
const COLD = { warmupSeconds: 1 }

function on (load: Load | ((at: number) => Load)): Shape['ways'] {
  return (peer) => [{ name: peer.name, run: async (stage, at) => await stage.load(peer, typeof load === 'function' ? load(at) : load) }]
}

function fresh (key: string, load: Load): Shape['ways'] {
  return (peer) => [{ name: peer.name, key, run: async (stage) => await stage.loadFresh(peer, load) }]
}

/** Over Redis, and Roomcast on its memory broker to compare with. */
function overRedis (instances: 1 | 2, load: Load): Shape['ways'] {
  return (peer, redis) => redis === undefined
    ? []
    : [
        { name: peer.name, run: async (stage) => await stage.loadOverRedis(peer, redis, instances, { ...load, ...COLD }) },
        ...(peer.name === 'roomcast'
          ? [{ name: ALONE, run: async (stage: Stage) => await stage.loadFresh(peer, { ...load, ...COLD }) }]
          : [])
      ]
}

const ALONE = 'roomcast alone'

/** All shapes, in the order in which they are run. */
export const SHAPES: Shape[] = [
  {
    shape: 'hot',
    title: '1,000 members in one room, 64 messages on their way at any time',
    figure: 'cpuNs',
    target: 0.06,
    ways: on(HOT)
  }, {
    shape: 'tick',
    title: '1,000 members in one room, 100 messages a second',
    figure: 'cpuNs',
    target: 0.78,
    ways: on({ members: 1_000, perSecond: 100, warmupSeconds: 0.2, seconds: 1.6 })
  }, {
    shape: 'tick50',
    title: '1,000 members in one room, 50 messages a second',
    figure: 'p50Us',
    target: 0.85,
    ways: on({ members: 1_000, perSecond: 50, warmupSeconds: 0.2, seconds: 1.6 })
  }, {
    shape: 'solo',
    title: '100 members in one room, one message at a time',
    figure: 'cpuNs',
    target: 0.78,
    ways: on({ members: 100, window: 1, warmupSeconds: 0.3, seconds: 1.2 })
  }, {
    shape: 'rooms',
    title: '1,000 members in 100 rooms, 200 messages on their way at any time',
    figure: 'cpuNs',
    target: 0.5,
    ways: on({ members: 1_000, rooms: 100, window: 200, warmupSeconds: 0.4, seconds: 1.5 })
  }, {
    shape: 'upgrade',
    title: '8,000 connections of one user are opened and join a room, with a token',
    figure: 'cpuUs',
    target: 1.5,
    ways: fresh('open', { members: 8_000, seconds: 0 })
  }, {
    shape: 'upgrade-users',
    title: 'The same with 8,000 users: each has a token of its own, and the room is told of them',
    figure: 'cpuUs',
    baseline: 'roomcast',
    maxRuns: 2,
    ways: fresh('open-users', { members: 8_000, users: true, seconds: 0 })
  }, {
    shape: 'memory',
    title: '8,000 connections are open, each in a room',
    figure: 'bytes',
    target: 1.4,
    ways: fresh('open', { members: 8_000, seconds: 0 })
  }, {
    shape: 'growth',
    title: 'One room with more and more members, one message at a time',
    figure: 'cpuNs',
    target: 1.5,
    versus: 'first point',
    points: { parameter: 'members', values: [100, 1_000, 5_000, 20_000] },
    maxRuns: 3,
    ways: on((members) => ({ members, window: 1, warmupSeconds: 0.3, seconds: 1.2 }))
  }, {
    shape: 'spread',
    title: '1,000 connections, each in so many rooms with all others, one message at a time',
    figure: 'cpuNs',
    target: 1.1,
    versus: 'first point',
    baseline: 'roomcast',
    points: { parameter: 'rooms each is in', values: [1, 100] },
    maxRuns: 3,
    ways: on((rooms) => ({ members: 1_000, rooms, everywhere: true, window: 1, warmupSeconds: 0.3, seconds: 1.2 }))
  }, {
    shape: 'slow',
    title: '1,000 members of whom some do not read, texts of 1 KB, 64 messages on their way at any time',
    figure: 'p50Us',
    target: 1.2,
    versus: 'first point',
    points: { parameter: 'members that do not read', values: [0, 10] },
    maxRuns: 3,
    ways: (peer) => [
      {
        name: peer.name,
        run: async (stage, deaf) => await stage.loadFresh(peer, { ...HOT, deaf, textBytes: 1_024, warmupSeconds: 0.5, seconds: 3.5 })
      }
    ]
  }, {
    shape: 'rest',
    title: 'Texts are published over one HTTP connection, 64 requests on their way at any time, a token with each',
    figure: 'perSecond',
    target: 0.5,
    baseline: 'bare route',
    ways: (peer) => [
      {
        name: peer.name,
        run: async (stage) =>
          await stage.loadFresh(peer, {
            members: peer.noMembers === true ? 0 : 1, via: 'rest', window: 64, warmupSeconds: 1.5, seconds: 1.5
          })
      }
    ]
  }, {
    shape: 'redis-hot',
    title: 'Two instances and a Redis: hot, published on the other instance; what the one with the members does',
    figure: 'cpuNs',
    target: 1.15,
    baseline: ALONE,
    maxRuns: 3,
    ways: overRedis(2, HOT)
  }, {
    shape: 'redis-latency',
    title: 'Two instances and a Redis: 100 members, 100 messages a second, published on the other instance',
    figure: 'p50Us',
    baseline: ALONE,
    maxRuns: 3,
    ways: overRedis(2, { members: 100, perSecond: 100, seconds: 2 })
  }, {
    shape: 'redis-rate',
    title: 'One instance and a Redis: 200 rooms with one member each, published by frames, 1,000 messages on their way at any time',
    figure: 'perSecond',
    atLeast: 20_000,
    baseline: ALONE,
    maxRuns: 3,
    ways: overRedis(1, { members: 200, rooms: 200, window: 1_000, seconds: 2 })
  }, {
    shape: 'redis-batch-rate',
    title: 'The same, published over one HTTP connection in batches of 100, 10 of them on their way at any time',
    figure: 'perSecond',
    atLeast: 20_000,
    baseline: ALONE,
    maxRuns: 3,
    ways: overRedis(1, { members: 200, rooms: 200, via: 'rest', batch: 100, window: 10, seconds: 2 })
  }, {
    shape: 'start',
    title: 'A process is started, and listens',
    figure: 'startMs',
    target: 2.2,
    baseline: 'bare Fastify',
    ways: (peer) => [{ name: peer.name, run: async (stage) => await stage.start(peer) }]
  }
]
