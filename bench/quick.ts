import { loadPeer } from './peers.ts'
import { buildRevision, resolveRevision } from './revision.ts'
import type { Run } from './results.ts'
import { type Load, Stage } from './stage.ts'
import { formatNumber } from './report.ts'
import { type Summary, summarize } from './summary.ts'

/** The shapes that say most, shorter. */
const LOADS: Record<string, Load> = {
  hot: { members: 1_000, window: 64, warmupSeconds: 0.2, seconds: 0.5 },
  tick: { members: 1_000, perSecond: 100, warmupSeconds: 0.1, seconds: 0.6 },
  solo: { members: 100, window: 1, warmupSeconds: 0.2, seconds: 0.5 },
  rooms: { members: 1_000, rooms: 100, window: 200, warmupSeconds: 0.2, seconds: 0.6 }
}
const SETTLE_MS = 100
/** No more of them are begun after this, s: with what has gone before, it is to be less than a minute. */
const TIME_SECONDS = 40
/** Fewer would be told apart too often though they are the same. */
const MIN_RUNS = 3

export interface QuickOptions {
  against: string
  runs: number
  shapes: string[]
}

/** Compares the working tree with a revision. */
export async function compare ({ against, runs, shapes }: QuickOptions): Promise<void> {
  const commit = resolveRevision(against)
  const peer = await loadPeer('roomcast')
  const sides = [{ name: against, root: buildRevision(commit) }, { name: 'working tree', root: undefined }]
  const loads = Object.entries(LOADS).filter(([shape]) => shapes.length === 0 || shapes.includes(shape))
  const measured = new Map(loads.map(([shape]) => [shape, [[], []] as [Run[], Run[]]]))
  const begun = performance.now()
  let done = 0
  for (; done < runs; done++) {
    if (done >= MIN_RUNS && (performance.now() - begun) / done * (done + 1) > TIME_SECONDS * 1_000) break
    // New processes each time: one may be lucky with what its compiler makes of it. And neither is always the first.
    const stages = sides.map(({ root }) => new Stage(root))
    for (const [shape, load] of loads) {
      for (const side of done % 2 === 0 ? [0, 1] : [1, 0]) {
        measured.get(shape)?.[side]?.push(await (stages[side] as Stage).load(peer, { ...load, settleMs: SETTLE_MS }))
      }
    }
    for (const stage of stages) await stage.clear()
  }

  console.log(`Server CPU per delivery, ns: median (lowest–highest) of ${done} runs; ${against} is ${commit.slice(0, 10)}.\n`)
  console.log(`| | ${against} | working tree | ratio | |\n|---|--:|--:|--:|---|`)
  for (const [shape, [before, after]] of measured) {
    const [a, b] = [before, after].map((runs) => summarize(runs.map(({ cpuNs }) => cpuNs)))
    if (a !== undefined && b !== undefined) {
      console.log(`| ${shape} | ${describe(a)} | ${describe(b)} | ${(b.median / a.median).toFixed(2)} | ${judge(a, b)} |`)
    }
  }
}

function describe ({ median, min, max }: Summary): string {
  return `${formatNumber(median)} (${formatNumber(min)}–${formatNumber(max)})`
}

/** Only where no run of one is among the runs of the other there is something to be told. */
function judge (before: Summary, after: Summary): string {
  if (after.max < before.min) return '**less**'
  if (after.min > before.max) return '**more**'
  return 'within the spread'
}
