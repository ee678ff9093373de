import { FIGURES, formatMachine, formatNumber, formatRatio, formatRuns, formatSummary, formatTick } from './figures.ts'
import type { Measured, Results, ShapeResults } from './results.ts'
import { listPeers, ROOMCAST } from './roster.ts'
import { isRate, judge, summarize, summarizeFigure, summarizeRatio } from './summary.ts'

const LINE_BREAK = '<br>'

/** A run as Markdown: the machine and the versions; tables, one for each figure and baseline; and what could not be done. */
export function formatTable (results: Results): string {
  const shapes = results.shapes.filter(({ measured }) => measured.length > 0)
  const runs = shapes.flatMap(({ measured }) => measured.map(({ runs }) => runs.length))
  const versions = Object.entries(results.versions).map(([name, version]) => `${name} ${version}`).join(', ')
  const left = [...Object.entries(results.missing).map(([name, reason]) => `Left out: ${name} (${reason}).`), ...results.remarks ?? []]
  return [
    escape(`Measured on ${results.date.slice(0, 10)}: ${formatMachine(results)}.${versions === '' ? '' : ` Versions: ${versions}.`}`),
    `Cells: the median of ${formatRuns(runs)} (least–most), and the ratio to what the heading calls 1.`,
    ...groupShapes(shapes).map(formatGroup),
    ...(left.length > 0 ? [left.map((sentence) => `- ${escape(sentence)}`).join('\n')] : [])
  ].join('\n\n') + '\n'
}

/** Shapes that one table can show: of the same figure and baseline, in the order of the figures. */
function groupShapes (shapes: ShapeResults[]): ShapeResults[][] {
  const groups = new Map<string, ShapeResults[]>()
  for (const figure of Object.keys(FIGURES)) {
    for (const shape of shapes.filter((one) => one.figure === figure)) {
      const name = `${figure}\n${shape.baseline}`
      groups.set(name, [...groups.get(name) ?? [], shape])
    }
  }
  return [...groups.values()]
}

function formatGroup (shapes: ShapeResults[]): string {
  const { figure, baseline } = shapes[0] as ShapeResults
  const { title, unit } = FIGURES[figure]
  const peers = listPeers(shapes)
  const rows = [
    ['shape', ...peers.map((peer) => emphasize(peer, escape(peer))), `target for ${ROOMCAST}`],
    ['---', ...peers.map(() => '--:'), '---'],
    ...shapes.flatMap((shape) => formatShape(shape, peers))
  ]
  return `### ${title}${unit === '' ? '' : `, ${unit}`} (${escape(baseline)} = 1)\n\n` +
    `${rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}`
}

/** A row; for a shape that varies something, one for each of its values, and one that says how much that matters. */
function formatShape (shape: ShapeResults, peers: string[]): string[][] {
  const name = `**${escape(shape.shape)}**`
  const values = [...new Set(shape.measured.map(({ at }) => at))].sort((a, b) => (a ?? 0) - (b ?? 0))
  const rows = values.map((at, i) => [
    [
      i === 0 ? `${name}: ${escape(shape.title)}` : name,
      ...(at === undefined ? [] : [`${formatTick(at)} ${escape(shape.points?.parameter ?? '')}`])
    ].join(LINE_BREAK),
    ...peers.map((peer) => formatCell(shape, find(shape, peer, at))),
    formatTarget(shape, find(shape, ROOMCAST, at))
  ])
  return values.length < 2 ? rows : [...rows, [`${name}, most by least`, ...peers.map((peer) => formatVariation(shape, peer)), '']]
}

function find ({ measured }: ShapeResults, peer: string, at: number | undefined): Measured | undefined {
  return measured.find((one) => one.peer === peer && one.at === at)
}

function formatCell (shape: ShapeResults, measured: Measured | undefined): string {
  const summary = measured && summarizeFigure(shape, measured)
  if (measured === undefined || summary === undefined) return ''
  const { scale } = FIGURES[shape.figure]
  const ratio = summarizeRatio(shape, measured)
  const p99 = shape.figure === 'p50Us' ? summarize(measured.runs.map(({ latencyUs }) => latencyUs?.p99)) : undefined
  const lost = measured.runs.reduce((sum, run) => sum + (run.lost ?? 0), 0)
  return [
    emphasize(measured.peer, formatSummary(summary, scale)),
    ...(p99 === undefined ? [] : [`99 %: ${formatNumber(p99.median)}`]),
    ...(ratio === undefined ? [] : [formatRatio(ratio.median)]),
    ...(lost > 0 ? [`${formatTick(lost)} lost`] : [])
  ].join(LINE_BREAK)
}

function formatTarget (shape: ShapeResults, measured: Measured | undefined): string {
  const { target, versus, atLeast, figure } = shape
  const verdict = measured && judge(shape, measured)
  if (verdict === undefined) return ''
  const met = verdict.met ? 'met' : '**missed**'
  if (atLeast !== undefined) return `≥ ${formatTick(atLeast)}: ${met}`
  const aim = `${isRate(figure) ? '≥' : '≤'} ${formatTick(target ?? 0)} ×`
  if (versus === undefined) return `${aim}: ${met}`
  const first = `${formatTick(shape.points?.values[0] ?? 0)} ${escape(shape.points?.parameter ?? '')}`
  return `${aim} of ${first}: ${formatRatio(verdict.value)}, ${met}`
}

/** The largest median of a server by its smallest. */
function formatVariation (shape: ShapeResults, peer: string): string {
  const summary = summarize(shape.measured.filter((one) => one.peer === peer).map((measured) => summarizeFigure(shape, measured)?.median))
  return summary === undefined || summary.runs < 2 || summary.min <= 0 ? '' : formatRatio(summary.max / summary.min)
}

function emphasize (peer: string, content: string): string {
  return peer === ROOMCAST ? `**${content}**` : content
}

/** What would be markup, in a cell or outside, is not. */
function escape (content: string): string {
  return content.replace(/[\\|`*_<>[\]]/g, '\\$&')
}
