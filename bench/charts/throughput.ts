import { formatMachine, formatRate, formatRuns } from '../figures.ts'
import type { Results, ShapeResults } from '../results.ts'
import { findShape, listPeers, ROOMCAST } from '../roster.ts'
import { summarize } from '../summary.ts'
import { type Bar, drawBars, type Group } from './bars.ts'
import { draw } from './svg.ts'

const SHAPES = ['hot', 'rooms']
/** From this share of a core on it was the load generator that was measured, rather than the server. */
const SATURATED = 0.95
const SATURATED_SIGN = '†'

/** Deliveries a second of every server, as fast as it goes. Undefined where none of the shapes was measured. */
export function drawThroughput (results: Results): string | undefined {
  const shapes = SHAPES.map((name) => findShape(results, name)).filter((shape) => shape !== undefined)
  const groups: Group[] = shapes
    .map((shape) => ({ name: shape.shape, title: shape.title, bars: listBars(shape, listPeers(shapes)) }))
    .filter(({ bars }) => bars.length > 0)
  if (groups.length === 0) return undefined
  const bars = groups.flatMap(({ bars }) => bars)
  const saturated = bars.some(({ text }) => text.endsWith(SATURATED_SIGN))
  return draw({
    title: 'Thousands of deliveries per second on one core',
    subtitle: `More is better. Bars: median of ${formatRuns(bars.map(({ value }) => value.runs))}; whiskers: least and most. ` +
      'Each shape has a scale of its own.' +
      (saturated ? ` ${SATURATED_SIGN} The load generator was at its limit: the server may do more.` : ''),
    description: groups
      .map(({ name, bars }) => `${name}: ${bars.map(({ label, text }) => `${label} ${text} deliveries per second`).join('; ')}.`)
      .join(' '),
    footer: formatMachine(results),
    ...drawBars(groups, false)
  })
}

function listBars ({ measured, baseline }: ShapeResults, peers: string[]): Bar[] {
  return peers.flatMap((peer) => {
    const runs = measured.find((one) => one.peer === peer)?.runs ?? []
    const value = summarize(runs.map(({ deliveriesPerSecond }) => deliveriesPerSecond && deliveriesPerSecond / 1_000))
    if (value === undefined) return []
    const load = summarize(runs.map(({ generatorLoad }) => generatorLoad))?.median ?? 0
    return [{
      label: peer,
      value,
      text: `${formatRate(value.median * 1_000)}${load >= SATURATED ? ` ${SATURATED_SIGN}` : ''}`,
      kind: peer === ROOMCAST ? 'ours' : peer === baseline ? 'baseline' : 'other'
    }]
  })
}
