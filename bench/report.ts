import type { Figure, Measured, Results, Run, ShapeResults } from './results.ts'
import { compare, type Summary, summarize, summarizeFigure, summarizeRatio } from './summary.ts'

const UNITS: Record<Figure, { title: string, format: (value: number) => string }> = {
  cpuNs: { title: 'CPU per delivery, ns', format: (ns) => formatNumber(ns) },
  cpuUs: { title: 'CPU per connection, µs', format: (us) => formatNumber(us) },
  bytes: { title: 'memory per connection, KB', format: (bytes) => formatNumber(bytes / 1_000) },
  p50Us: { title: 'median latency, ms', format: (us) => formatNumber(us / 1_000) },
  perSecond: { title: 'messages per second', format: (perSecond) => formatNumber(perSecond) },
  startMs: { title: 'start, ms', format: (ms) => formatNumber(ms) }
}

/** The generator needed more than this share of its core: then it may have been what was measured. */
const HEAVY_LOAD = 0.9

/** Results as Markdown. */
export function describeResults (results: Results): string {
  const { machine, versions, missing, remarks = [], shapes } = results
  return [
    `# Benchmarks, ${results.date.slice(0, 10)}`,
    `${machine.cores} × ${machine.cpu}, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, ${machine.system}. ` +
      (machine.pinned
        ? 'The server and the load generator have a core each.'
        : 'The server and the load generator share the cores: there is no taskset here.'),
    `${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ')}.`,
    ...Object.entries(missing).map(([name, why]) => `Left out: ${name}, since ${why}.`),
    'Medians, with the lowest and the highest of the runs in brackets. ' +
      'A ratio is the median of the runs\' ratios, each to the other\'s in the same round.',
    ...shapes.map(describeShape),
    ...remarks
  ].join('\n\n') + '\n'
}

function describeShape (shape: ShapeResults): string {
  const { title, format } = UNITS[shape.figure]
  const extras = EXTRAS.filter(
    ({ of, hiddenFor = [] }) =>
      !hiddenFor.includes(shape.figure) && shape.measured.some(({ runs }) => summarize(runs.map(of)) !== undefined)
  )
  const head = [
    '',
    ...(shape.points === undefined ? [] : [shape.points.parameter]),
    title,
    shape.versus === undefined ? `÷ ${shape.baseline}` : `÷ ${shape.baseline}, ÷ own first`,
    ...extras.map(({ name }) => name),
    'runs'
  ]
  const rows = shape.measured.map((measured) => {
    const spread = summarizeFigure(shape, measured)
    const line = [
      measured.peer,
      ...(measured.at === undefined ? [] : [formatNumber(measured.at)]),
      spread === undefined ? '–' : describeSpread(spread, format),
      describeRatios(shape, measured),
      ...extras.map(({ of, format }) => {
        const extra = summarize(measured.runs.map(of))
        return extra === undefined ? '' : format(extra.median)
      }),
      String(spread?.runs ?? 0)
    ]
    return `| ${line.join(' | ')} |`
  })
  return [
    `## ${shape.shape}\n\n${shape.title}.${describeAim(shape)}\n`,
    `| ${head.join(' | ')} |`,
    `|${head.map((_, i) => i === 0 ? '---' : '--:').join('|')}|`,
    ...rows
  ].join('\n')
}

/** What is told beside the figure, unless it says the same. */
const EXTRAS: { name: string, of: (run: Run) => number | undefined, format: (value: number) => string, hiddenFor?: Figure[] }[] = [
  { name: 'of it kernel, ns', of: (run) => run.systemNs, format: formatNumber, hiddenFor: ['p50Us', 'perSecond'] },
  { name: 'CPU per delivery, ns', of: (run) => run.cpuNs, format: formatNumber, hiddenFor: ['cpuNs'] },
  { name: 'deliveries per second', of: (run) => run.deliveriesPerSecond, format: formatNumber },
  { name: 'median, ms', of: (run) => run.latencyUs?.p50, format: (us) => formatNumber(us / 1_000), hiddenFor: ['p50Us'] },
  { name: 'p99, ms', of: (run) => run.latencyUs?.p99, format: (us) => formatNumber(us / 1_000) },
  { name: 'Redis per message, µs', of: (run) => run.redisCpuUs, format: formatNumber },
  { name: 'lost', of: (run) => run.lost, format: formatNumber },
  {
    name: 'generator',
    of: (run) => run.generatorLoad,
    format: (share) => `${Math.round(share * 100)} %${share > HEAVY_LOAD ? ' (!)' : ''}`
  }
]

function describeAim ({ target, versus, atLeast, figure, baseline }: ShapeResults): string {
  if (atLeast !== undefined) return ` Aim: at least ${formatNumber(atLeast)}.`
  if (target === undefined) return ''
  return ` Aim: ${figure === 'perSecond' ? 'at least' : 'at most'} ${target} × ${versus === undefined ? baseline : 'the first line\'s'}.`
}

function describeRatios (shape: ShapeResults, measured: Measured): string {
  const base = describeRatio(summarizeRatio(shape, measured))
  if (shape.versus === undefined) return base
  return `${base}, ${describeRatio(compare(shape, measured, shape.measured.find(({ peer }) => peer === measured.peer)))}`
}

function describeRatio (ratio: Summary | undefined): string {
  return ratio === undefined ? '–' : ratio.median.toFixed(ratio.median < 0.1 ? 3 : 2)
}

function describeSpread ({ median, min, max }: Summary, format: (value: number) => string): string {
  return `${format(median)} (${format(min)}–${format(max)})`
}

/** Three digits that count. */
export function formatNumber (value: number): string {
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.min(digits, 3) })
}
