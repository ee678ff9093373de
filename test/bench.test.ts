import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import type { LoadOptions } from '../bench/load/options.ts'
import { loadPeer, loadPeers } from '../bench/peers.ts'
import { generate } from '../bench/processes.ts'
import { SHAPES } from '../bench/shapes.ts'
import { describeResults } from '../bench/report.ts'
import { summarize } from '../bench/summary.ts'
import { SECRET } from './support/token.ts'
import { startProcess } from './support/service-process.ts'

const FAULTY_SERVER = fileURLToPath(new URL('../../test/fixtures/faulty-server.mjs', import.meta.url))

const SMALL = { members: 20, seconds: 0.5, secret: SECRET, patienceMs: 300 }

test('the load generator counts what members of the service get, and when', async (t) => {
  const { port, child } = await startProcess(t, { JWT_SECRET: SECRET, MESSAGE_RATE: '0', REST_RATE: '0' })
  const { protocol } = await loadPeer('roomcast')
  const loads: [string, Partial<LoadOptions>, number][] = [
    ['one message at a time', { window: 1 }, 20],
    ['a window, in rooms', { rooms: 4, window: 8, users: true }, 5],
    ['everybody in all rooms', { rooms: 4, everywhere: true, window: 4 }, 20],
    ['at a rate', { perSecond: 100 }, 20],
    ['over HTTP', { via: 'rest', window: 8 }, 20],
    ['over HTTP, in batches', { via: 'rest', rooms: 20, batch: 10, window: 2 }, 1]
  ]
  for (const [title, load, audience] of loads) {
    const result = await generate({ ...SMALL, ...load, protocol, port, pids: [child.pid as number] })
    t.equal(result.lost, 0, `${title}: nothing is lost`)
    t.equal(result.refused + result.ended, 0)
    t.ok(result.deliveries > 0 && result.published > 0, `${title}: ${result.deliveries} deliveries`)
    const { p50, p90, p99, p999, max } = result.latencyUs
    t.ok(p50 > 0 && p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= max, 'latencies grow')
    t.ok(result.bytesAfter > 1_000_000, 'memory is that of a process')
    t.ok(result.generatorLoad > 0)
    if (load.via === undefined) t.equal(result.published, result.deliveries / audience)
  }
})

test('what a server drops is seen as lost', async (t) => {
  const server = fork(FAULTY_SERVER)
  t.teardown(async () => {
    server.kill('SIGKILL')
    await once(server, 'exit')
  })
  const [port] = await once(server, 'message') as [number]
  const { protocol } = await loadPeer('naive')
  const result = await generate({ ...SMALL, perSecond: 100, protocol, port, pids: [server.pid as number] })
  t.ok(result.deliveries > 0)
  t.ok(result.lost > 0, `${result.lost} lost`)
  t.ok(result.lost < result.deliveries / 2, 'and not more')
})

test('every peer says what it is, and knows shapes that there are', async (t) => {
  const names = SHAPES.map(({ shape }) => shape)
  const peers = await loadPeers()
  t.equal(peers.length, readdirSync(new URL('../../bench/peers/', import.meta.url)).length)
  for (const { name, shapes, protocol, run, serve } of peers) {
    t.strictSame(shapes.filter((shape) => !names.includes(shape)), [], name)
    t.type(protocol.path, 'string')
    t.ok((run === undefined) !== (serve === undefined), `${name} has one way to start`)
  }
  t.end()
})

test('a report has medians, spreads, and ratios to the baseline', (t) => {
  const runs = (...cpuNs: number[]) => cpuNs.map((ns) => ({ cpuNs: ns }))
  t.strictSame(summarize([3, 1, undefined, 2]), { median: 2, min: 1, max: 3, runs: 3 })
  t.strictSame(summarize([1, 2, 4, 3]), { median: 2.5, min: 1, max: 4, runs: 4 })
  t.equal(summarize([undefined]), undefined)
  const text = describeResults({
    date: '2026-01-01T00:00:00.000Z',
    machine: { cpu: 'a processor', cores: 2, memoryBytes: 2 ** 33, system: 'a system', pinned: true },
    versions: { Roomcast: 'abc' },
    missing: { nats: 'nats-server is not on the PATH' },
    shapes: [
      {
        shape: 'hot',
        title: 'Hot',
        figure: 'cpuNs',
        target: 0.1,
        baseline: 'naive',
        measured: [{ peer: 'roomcast', runs: runs(300, 200, 400) }, { peer: 'naive', runs: runs(6_000) }]
      }
    ]
  })
  t.match(text, '| roomcast | 300 (200–400) | 0.050 | 3 |')
  t.match(text, '| naive | 6,000 (6,000–6,000) | 1.00 | 1 |')
  t.match(text, 'Left out: nats, since nats-server is not on the PATH.')
  t.match(text, 'Aim: at most 0.1 × naive.')
  t.end()
})
