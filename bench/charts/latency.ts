import { formatMachine, formatMicroseconds, formatRuns } from '../figures.ts'
import type { Results, Run, ShapeResults } from '../results.ts'
import { findShape, listPeers, ROOMCAST } from '../roster.ts'
import { summarize } from '../summary.ts'
import { logarithmic, type Scale } from './scale.ts'
import { draw, element, line, MARGIN, spans, text, WIDTH, widthOf, wrap } from './svg.ts'

const SHAPES = ['tick50', 'tick']
const ROW = 30
const LINE = 17
const GAP = 16
const LEGEND = 28

/** Percentiles that are shown, and how big their points are (radius, px). */
const PERCENTILES = [
  { key: 'p50', label: 'median', radius: 6 },
  { key: 'p90', label: '90 %', radius: 5 },
  { key: 'p99', label: '99 %', radius: 4 },
  { key: 'p999', label: '99.9 %', radius: 3 },
  { key: 'max', label: 'longest', radius: 2 }
] as const satisfies { key: keyof NonNullable<Run['latencyUs']>, label: string, radius: number }[]

/** One server's latencies, µs: the median over its runs of each percentile. */
interface Row {
  peer: string
  values: number[]
  runs: number
}

interface Group {
  shape: ShapeResults
  rows: Row[]
}

/** How long messages take, from the publish to the receipt, by percentiles. Undefined where none of the shapes was measured. */
export function drawLatency (results: Results): string | undefined {
  const shapes = SHAPES.map((name) => findShape(results, name)).filter((shape) => shape !== undefined)
  const groups = shapes.map((shape) => ({ shape, rows: listRows(shape, listPeers(shapes)) })).filter(({ rows }) => rows.length > 0)
  if (groups.length === 0) return undefined
  const rows = groups.flatMap(({ rows }) => rows)
  const values = rows.flatMap(({ values }) => values)
  const from = MARGIN + 16 + Math.max(...rows.map(({ peer }) => widthOf(peer)))
  const to = WIDTH - MARGIN - 12 - Math.max(...rows.map((row) => widthOf(summaryOf(row))))
  const scale = logarithmic(Math.min(...values), Math.max(...values), from, to)
  const drawn = drawGroups(groups, scale)
  return draw({
    title: 'Time from the publish to the receipt',
    subtitle: 'Less is better; the axis is logarithmic. ' +
      `Each point is the median of ${formatRuns(rows.map(({ runs }) => runs))}. At the right: median / 99 %.`,
    description: groups.map(({ shape, rows }) => `${shape.shape}: ${rows.map(describeRow).join('; ')}.`).join(' '),
    footer: formatMachine(results),
    height: drawn.bottom,
    body: [...drawLegend(), ...drawn.parts]
  })
}

function describeRow ({ peer, values }: Row): string {
  return `${peer} ${PERCENTILES.map(({ label }, i) => `${label} ${formatMicroseconds(values[i] as number)}`).join(', ')}`
}

function listRows ({ measured }: ShapeResults, peers: string[]): Row[] {
  return peers.flatMap((peer) => {
    const runs = measured.find((one) => one.peer === peer)?.runs ?? []
    const summaries = PERCENTILES.map(({ key }) =>
      summarize(runs.map(({ latencyUs }) => latencyUs?.[key]).filter((value) => value !== undefined && value > 0))
    )
    if (!summaries.every((summary) => summary !== undefined)) return []
    return [{ peer, values: summaries.map(({ median }) => median), runs: (summaries[0] as { runs: number }).runs }]
  })
}

function summaryOf ({ values: [p50 = 0, , p99 = 0] }: Row): string {
  return `${formatMicroseconds(p50)} / ${formatMicroseconds(p99)}`
}

function drawLegend (): string[] {
  let x = MARGIN + 6
  return PERCENTILES.flatMap(({ label, radius }) => {
    const at = x
    x += 14 + widthOf(label) + 14
    return [drawPoint(at, LINE - 6, radius, 's1'), text(label, at + 12, LINE - 2, 'muted')]
  })
}

function drawGroups (groups: Group[], { at, ticks }: Scale): { parts: string[], bottom: number } {
  const parts: string[] = []
  let y = LEGEND
  for (const { shape, rows } of groups) {
    const [first = '', ...others] = wrap(`${shape.shape}: ${shape.title}`)
    parts.push(spans([[shape.shape, 'ours'], [first.slice(shape.shape.length), 'muted']], MARGIN, y + LINE - 5))
    parts.push(...others.map((words, i) => text(words, MARGIN, y + (i + 2) * LINE - 5, 'muted')))
    y += (1 + others.length) * LINE
    const bottom = y + rows.length * ROW
    parts.push(...ticks.map((tick) => line(at(tick), y, at(tick), bottom, 'grid')))
    for (const row of rows) {
      parts.push(...drawRow(row, at, y + ROW / 2))
      y += ROW
    }
    y += GAP
  }
  parts.push(...drawTicks(ticks, at, y - GAP))
  return { parts, bottom: y - GAP + 20 }
}

function drawTicks (ticks: number[], at: (value: number) => number, y: number): string[] {
  let written = -Infinity
  return ticks.flatMap((tick) => {
    const label = formatMicroseconds(tick).replace(/\.0+(?= )/, '')
    if (at(tick) - widthOf(label) / 2 < written) return []
    written = at(tick) + widthOf(label) / 2 + 8
    return [text(label, at(tick), y + 15, 'muted', 'middle')]
  })
}

function drawRow (row: Row, at: (value: number) => number, y: number): string[] {
  const ours = row.peer === ROOMCAST
  const colour = ours ? 's0' : 's1'
  const [first = 0] = row.values
  return [
    text(row.peer, MARGIN, y + 4, ours ? 'ours' : ''),
    line(at(first), y, at(row.values.at(-1) ?? first), y, `${colour} range`),
    // The small ones on top of the big ones.
    ...PERCENTILES.map(({ radius }, i) => drawPoint(at(row.values[i] as number), y, radius, colour)),
    text(summaryOf(row), WIDTH - MARGIN, y + 4, ours ? 'ours' : '', 'end')
  ]
}

function drawPoint (x: number, y: number, radius: number, colour: string): string {
  return element('circle', { class: `${colour} point`, cx: x, cy: y, r: radius })
}
