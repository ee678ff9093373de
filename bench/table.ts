import { FIGURES, formatMachine, formatNumber, formatRatio, formatRuns, formatSummary, formatTick } from './figures.ts'
import type { Figure, Measured, Results, ShapeResults } from './results.ts'
import { findOurs, isRoomcast, listPeers } from './roster.ts'
import { isRate, meetsTarget, summarize, summarizeFigure, summarizeRatio } from './summary.ts'

const LINE_BREAK = '<br>'

/** A run as Markdown: the machine and the versions, a table for each figure, and who was left out. */
export function formatTable (results: Results): string {
  const figures = Object.keys(FIGURES) as Figure[]
  const tables = figures.flatMap((figure) => formatFigure(figure, results.shapes.filter((shape) => shape.figure === figure && shape.measured.length > 0)))
  const versions = Object.entries(results.versions).map(([name, version]) => `${name} ${version}`).join(', ')
  const missing = Object.entries(results.missing).map(([name, reason]) => `- Left out: ${name} (${reason})`)
  const runs = results.shapes.flatMap(({ measured }) => measured.map(({ runs }) => runs.length))
  return [
    escape(`Measured on ${results.date.slice(0, 10)}: ${formatMachine(results)}.`) + (versions === '' ? '' : escape(` Versions: ${versions}.`)),
    escape(`Cells: the median of ${formatRuns(runs)} (least–most), and the ratio to ${formatBaselines(results.shapes)}.`),
    ...tables,
    ...(missing.length > 0 ? [escape(missing.join('\n'))] : [])
  ].join('\n\n') + '\n'
}

/** What figures are divided by: `naive`; or `naive`, in rest to `fastify`. */
function formatBaselines (shapes: ShapeResults[]): string {
  const usual = shapes[0]?.baseline ?? ''
  return [usual, ...shapes.filter(({ baseline }) => baseline !== usual).map(({ shape, baseline }) => `in ${shape} to ${baseline}`)].join(', ')
}

/** A heading and a table; nothing where no shape has the figure. */
function formatFigure (figure: Figure, shapes: ShapeResults[]): string[] {
  if (shapes.length === 0) return []
  const { title, unit } = FIGURES[figure]
  const peers = listPeers(shapes)
  const rows = [
    ['shape', ...peers.map((peer) => isRoomcast(peer) ? `**${escape(peer)}**` : escape(peer)), 'target'],
    ['---', ...peers.map(() => '--:'), '---'],
    ...shapes.flatMap((shape) => formatShape(shape, peers))
  ]
  return [`### ${title}${unit === '' ? '' : `, ${unit}`}`, rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')]
}

/** A row; for a shape that varies something, one for each of its values, and one that says how much that matters. */
function formatShape (shape: ShapeResults, peers: string[]): string[][] {
  const name = `**${escape(shape.shape)}**: ${escape(shape.title)}`
  const values = [...new Set(shape.measured.map(({ at }) => at))].sort((a, b) => (a ?? 0) - (b ?? 0))
  const rows = values.map((at, i) => formatRow(shape, peers, at, i === 0 ? name : `**${escape(shape.shape)}**`))
  if (values.length < 2) return rows
  return [...rows, [`**${escape(shape.shape)}**, most by least`, ...peers.map((peer) => formatVariation(shape, peer)), '']]
}

function formatRow (shape: ShapeResults, peers: string[], at: number | undefined, name: string): string[] {
  const ours = findOurs(shape)
  const find = (peer: string | undefined): Measured | undefined => shape.measured.find((one) => one.peer === peer && one.at === at)
  return [
    at === undefined ? name : `${name}${LINE_BREAK}${formatTick(at)} ${escape(shape.points?.parameter ?? '')}`.trimEnd(),
    ...peers.map((peer) => formatCell(shape, find(peer))),
    formatTarget(shape, find(ours))
  ]
}

function formatCell (shape: ShapeResults, measured: Measured | undefined): string {
  const summary = measured && summarizeFigure(shape, measured)
  if (measured === undefined || summary === undefined) return ''
  const { scale } = FIGURES[shape.figure]
  const figure = formatSummary(summary, scale)
  const ratio = summarizeRatio(shape, measured)
  const p99 = shape.figure === 'p50Us' ? summarize(measured.runs.map(({ latencyUs }) => latencyUs?.p99)) : undefined
  const lost = measured.runs.reduce((sum, run) => sum + (run.lost ?? 0), 0)
  return [
    isRoomcast(measured.peer) ? `**${figure}**` : figure,
    ...(p99 === undefined ? [] : [`99 %: ${formatNumber(p99.median)}`]),
    ...(ratio === undefined ? [] : [formatRatio(ratio.median)]),
    ...(lost > 0 ? [`${formatTick(lost)} lost`] : [])
  ].join(LINE_BREAK)
}

function formatTarget (shape: ShapeResults, measured: Measured | undefined): string {
  if (shape.target === undefined) return ''
  const aim = `${isRate(shape.figure) ? '≥' : '≤'} ${formatTick(shape.target)} ×`
  const met = meetsTarget(shape, measured && summarizeRatio(shape, measured))
  return met === undefined ? aim : `${aim}: ${met ? 'met' : '**missed**'}`
}

/** The largest median of a server by its smallest. */
function formatVariation (shape: ShapeResults, peer: string): string {
  const medians = shape.measured.filter((one) => one.peer === peer).map((measured) => summarizeFigure(shape, measured)?.median)
  const summary = summarize(medians)
  return summary === undefined || summary.runs < 2 || summary.min <= 0 ? '' : formatRatio(summary.max / summary.min)
}

/** What would be markup, in a cell or outside, is not. */
function escape (content: string): string {
  return content.replace(/[\\|`*_<>[\]]/g, '\\$&')
}
