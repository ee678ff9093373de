import { FIGURES, formatMachine, formatNumber, formatRatio, formatRuns, formatTick } from '../figures.ts'
import type { Results, ShapeResults } from '../results.ts'
import { findShape, listPeers, ROOMCAST } from '../roster.ts'
import { summarizeFigure, summarizeRatio } from '../summary.ts'
import { type Bar, drawBars } from './bars.ts'
import { draw } from './svg.ts'

const SHAPES = ['hot', 'tick', 'solo', 'rooms']

/** Server CPU per delivery of every server, as a ratio to the baseline's. Undefined where none of the shapes was measured. */
export function drawCost (results: Results): string | undefined {
  const shapes = SHAPES.map((name) => findShape(results, name)).filter((shape) => shape !== undefined)
  const groups = shapes
    .map((shape) => ({ name: shape.shape, title: shape.title, bars: listBars(shape, listPeers(shapes)) }))
    .filter(({ bars }) => bars.length > 0)
  if (groups.length === 0) return undefined
  const baselines = [...new Set(shapes.map(({ baseline }) => baseline))].join(' or ')
  const runs = groups.flatMap(({ bars }) => bars.map(({ value }) => value.runs))
  return draw({
    title: `Server CPU per delivery, ${baselines} = 1`,
    subtitle: `Less is better. Bars: median of ${formatRuns(runs)}; whiskers: least and most; ` +
      'behind them the ratio, and the median in ns. Dashed: the most that Roomcast is meant to be.',
    description: groups.map(({ name, bars }) => `${name}: ${bars.map(({ label, text }) => `${label} ${text}`).join('; ')}.`).join(' '),
    footer: formatMachine(results),
    ...drawBars(groups, true)
  })
}

function listBars (shape: ShapeResults, peers: string[]): Bar[] {
  const { unit, scale } = FIGURES[shape.figure]
  return peers.flatMap((peer) => {
    const measured = shape.measured.find((one) => one.peer === peer)
    const value = measured && summarizeRatio(shape, measured)
    const figure = measured && summarizeFigure(shape, measured)
    if (value === undefined || figure === undefined) return []
    const target = peer === ROOMCAST && shape.versus === undefined ? shape.target : undefined
    return [{
      label: peer,
      value,
      text: `${formatRatio(value.median)} (${formatNumber(figure.median * scale)} ${unit})`,
      kind: peer === ROOMCAST ? 'ours' as const : peer === shape.baseline ? 'baseline' as const : 'other' as const,
      ...(target !== undefined && {
        target: { value: target, text: `target ${formatTick(target)} ×: ${value.median <= target ? 'met' : 'missed'}` }
      })
    }]
  })
}
