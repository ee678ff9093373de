import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeCharts } from './charts.ts'
import { BENCH, DOCS } from './folders.ts'
import { describeMachine, describeRevision } from './machine.ts'
import { findProgram, loadPeers, type Peer, versionOf, versionsOf, whyMissing } from './peers.ts'
import type { Results, Run, ShapeResults } from './results.ts'
import { type Shape, SHAPES, type Way } from './shapes.ts'
import { Stage } from './stage.ts'
import { maxConnections } from './processes.ts'
import { publishResults } from './publish.ts'
import { describeResults } from './report.ts'

/** Whose figures others are divided by, if a shape says nothing else. */
const NAIVE = 'naive'
/** Who is neither Roomcast nor what it is compared with is there to give an idea: more runs would show nothing more. */
const MAX_RUNS_OF_OTHERS = 3

export interface FullOptions {
  runs: number
  /** Names; all of them if there are none. */
  shapes: string[]
  peers: string[]
  /** Where the results go; the one beside the peers if not given. */
  folder?: string | undefined
  /** Whether they go into the documentation as well. */
  publish?: boolean
}

/** One peer's way through one shape. */
interface Entry {
  shape: Shape
  peer: Peer
  way: Way
  at: number | undefined
  runs: Run[]
}

/** Measures everything, or a part of it, and writes down what came out. */
export async function measureAll ({
  runs, shapes: shapeNames, peers: peerNames, folder = join(BENCH, 'results'), publish = false
}: FullOptions): Promise<void> {
  const shapes = SHAPES.filter(({ shape }) => shapeNames.length === 0 || shapeNames.includes(shape))
  const all = (await loadPeers()).filter(
    ({ name, file, shapes: known }) =>
      (peerNames.length === 0 || peerNames.includes(name) || peerNames.includes(file)) && shapes.some(({ shape }) => known.includes(shape))
  )
  const missing: Record<string, string> = {}
  const peers = all.filter((peer) => {
    const why = whyMissing(peer)
    if (why !== undefined) missing[peer.name] = why
    return why === undefined
  })
  const redis = findProgram('redis-server', 'valkey-server')
  if (redis === undefined && shapes.some(({ shape }) => shape.startsWith('redis'))) {
    missing['everything with two instances'] = 'redis-server is not on the PATH'
  }

  const results: Results = {
    date: new Date().toISOString(),
    machine: describeMachine(),
    versions: {
      Roomcast: describeRevision(),
      'Node.js': process.versions.node,
      ...Object.assign({}, ...peers.map(versionsOf)) as Record<string, string>,
      ...(redis !== undefined && { redis: versionOf(redis) })
    },
    missing,
    shapes: []
  }
  const entries = shapes.flatMap((shape) => (pointsOf(shape)?.values ?? [undefined]).flatMap((at) =>
    peers.filter(({ shapes: known }) => known.includes(shape.shape)).flatMap((peer) =>
      shape.ways(peer, redis).map((way): Entry => ({ shape, peer, way, at, runs: [] })))))
  results.remarks = [...await measure(entries, runs)]
  results.shapes = shapes
    .map((shape) => toResults(shape, entries.filter((entry) => entry.shape === shape))
    )
    .filter(({ measured }) => measured.length > 0)

  mkdirSync(folder, { recursive: true })
  const markdown = describeResults(results)
  writeFileSync(join(folder, 'results.json'), `${JSON.stringify(results, undefined, 2)}\n`)
  writeFileSync(join(folder, 'results.md'), markdown)
  await writeCharts(results, folder)
  if (publish) await publishResults(results, DOCS)
  console.log(markdown)
}

/** Runs everything once, then again: whatever else the machine does meets all of them alike. Returns what is to be said about it. */
async function measure (entries: Entry[], runs: number): Promise<Set<string>> {
  const remarks = new Set<string>()
  for (let round = 1; round <= runs; round++) {
    const stage = new Stage()
    const shared = new Map<string, Run>()
    for (const { shape, peer, way, at, runs: done } of entries) {
      if (round > Math.min(shape.maxRuns ?? Infinity, isCompared(peer, shape) ? Infinity : MAX_RUNS_OF_OTHERS)) continue
      const key = `${way.name} ${way.key}`
      const begun = performance.now()
      try {
        const run = (way.key === undefined ? undefined : shared.get(key)) ?? await way.run(stage, at ?? 0)
        if (way.key !== undefined) shared.set(key, run)
        done.push(run)
      } catch (error) {
        done.push({}) // Rounds are compared with one another.
        remarks.add(`${peer.name} failed in ${shape.shape}: ${(error as Error).message}.`)
      }
      const seconds = ((performance.now() - begun) / 1_000).toFixed(1)
      console.error(`run ${round} of ${runs}: ${shape.shape}${at === undefined ? '' : ` ${at}`}, ${way.name}, ${seconds} s`)
    }
    await stage.clear()
    for (const remark of stage.remarks) remarks.add(remark)
  }
  return remarks
}

function isCompared ({ name }: Peer, { baseline = NAIVE }: Shape): boolean {
  return name === 'roomcast' || name === baseline
}

/** Members are cut down to what may be open here. */
function pointsOf ({ points }: Shape): Shape['points'] {
  if (points?.parameter !== 'members') return points
  return { ...points, values: [...new Set(points.values.map((members) => Math.min(members, maxConnections)))] }
}

function toResults (kind: Shape, entries: Entry[]): ShapeResults {
  const { shape, title, figure, target, versus, atLeast, baseline = NAIVE } = kind
  const points = pointsOf(kind)
  return {
    shape,
    title,
    figure,
    ...(target !== undefined && { target }),
    ...(versus !== undefined && { versus }),
    ...(atLeast !== undefined && { atLeast }),
    baseline,
    ...(points !== undefined && { points }),
    measured: entries.map(({ way, at, runs }) => ({ peer: way.name, ...(at !== undefined && { at }), runs }))
  }
}
