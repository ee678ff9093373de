import { FIGURES, formatMachine, formatNumber, formatRuns, formatTick } from '../figures.ts'
import type { Results, ShapeResults } from '../results.ts'
import { findShape, listPeers, ROOMCAST } from '../roster.ts'
import { summarizeFigure, type Summary } from '../summary.ts'
import { drawMarker } from './marker.ts'
import { linear, logarithmicAt, type Scale } from './scale.ts'
import { seriesClass } from './style.ts'
import { draw, element, line, MARGIN, text, tenth, WIDTH, widthOf } from './svg.ts'

const SHAPE = 'growth'
/** Of the part inside the axes, px. */
const HEIGHT = 300
/** Between the names of two lines, px. */
const LABEL_HEIGHT = 16
const TICKS = 6

interface Point {
  at: number
  value: Summary
}

/** One server's line. */
interface Curve {
  peer: string
  /** Which colour and sign it has. */
  index: number
  points: Point[]
}

/** What a delivery costs by the number of members. Undefined where that was not measured. */
export function drawGrowth (results: Results): string | undefined {
  const shape = findShape(results, SHAPE)
  if (shape === undefined) return undefined
  const curves = listCurves(shape)
  const points = curves.flatMap(({ points }) => points)
  if (points.length === 0) return undefined

  const { title, unit } = FIGURES[shape.figure]
  const ticks = [...new Set(points.map(({ at }) => at))].sort((a, b) => a - b)
  const names = curves.map(({ peer, points }) => `${peer} ${formatNumber((points.at(-1) as Point).value.median)}`)
  const right = WIDTH - MARGIN - 14 - Math.max(...names.map(widthOf))
  const y = linear(Math.max(...points.map(({ value }) => value.max)), HEIGHT, 0, TICKS)
  const left = MARGIN + 10 + Math.max(...y.ticks.map((tick) => widthOf(formatTick(tick))))
  const x = logarithmicAt(ticks, left + 14, right - 8)
  const parameter = shape.points?.parameter ?? 'members'
  return draw({
    title: `${title} by the number of ${parameter}`,
    subtitle: `${shape.title}. In ${unit}; less is better, and flat is good. ` +
      `Points: median of ${formatRuns(points.map(({ value }) => value.runs))}; bands: least to most. ` +
      `The numbers at the right are for ${formatTick(ticks.at(-1) as number)} ${parameter}.`,
    description: curves.map(({ peer, points }) => {
      const values = points.map(({ at, value }) => `${formatNumber(value.median)} ${unit} with ${formatTick(at)} ${parameter}`)
      return `${peer}: ${values.join(', ')}.`
    }).join(' '),
    footer: formatMachine(results),
    height: HEIGHT + 42,
    body: [
      ...drawAxes(x, y, left, right, parameter),
      // Roomcast last, on top of the others.
      ...curves.toReversed().flatMap((curve) => drawCurve(curve, x, y)),
      ...drawNames(curves, names, x, y, right)
    ]
  })
}

function listCurves (shape: ShapeResults): Curve[] {
  return listPeers([shape]).map((peer, index) => ({
    peer,
    index,
    points: shape.measured.flatMap((measured) => {
      const value = summarizeFigure(shape, measured)
      return measured.peer === peer && measured.at !== undefined && measured.at > 0 && value !== undefined
        ? [{ at: measured.at, value }]
        : []
    }).sort((a, b) => a.at - b.at)
  })).filter(({ points }) => points.length > 0)
}

function drawAxes (x: Scale, y: Scale, left: number, right: number, parameter: string): string[] {
  let written = -Infinity
  return [
    ...y.ticks.flatMap((tick) => [
      line(left, y.at(tick), right, y.at(tick), tick === 0 ? 'axis' : 'grid'),
      text(formatTick(tick), left - 8, y.at(tick) + 4, 'muted', 'end')
    ]),
    ...x.ticks.flatMap((tick) => {
      const at = x.at(tick)
      const label = formatTick(tick)
      const mark = line(at, HEIGHT, at, HEIGHT + 5, 'axis')
      if (at - widthOf(label) / 2 < written) return [mark]
      written = at + widthOf(label) / 2 + 4
      return [mark, text(label, at, HEIGHT + 19, 'muted', 'middle')]
    }),
    text(`${parameter} (logarithmic)`, (left + right) / 2, HEIGHT + 37, 'muted', 'middle')
  ]
}

function drawCurve ({ peer, index, points }: Curve, x: Scale, y: Scale): string[] {
  const colour = seriesClass(index)
  const path = (some: Point[], of: (value: Summary) => number): string =>
    some.map(({ at, value }) => `${tenth(x.at(at))} ${tenth(y.at(of(value)))}`).join('L')
  const band = `M${path(points, ({ max }) => max)}L${path(points.toReversed(), ({ min }) => min)}Z`
  return [
    element('path', { class: `${colour} band`, d: band }),
    element('path', { class: `${colour} line${peer === ROOMCAST ? ' thick' : ''}`, d: `M${path(points, ({ median }) => median)}` }),
    ...points.map(({ at, value }) => drawMarker(index, x.at(at), y.at(value.median), `${colour} sign`))
  ]
}

/** Names at the ends of the lines, moved apart where they would be on each other. */
function drawNames (curves: Curve[], names: string[], x: Scale, y: Scale, right: number): string[] {
  const places = curves.map(({ peer, index, points }, i) => {
    const last = points.at(-1) as Point
    const end = { x: x.at(last.at), y: y.at(last.value.median) }
    return { peer, index, name: names[i] as string, end, y: end.y }
  }).sort((a, b) => a.y - b.y)
  for (const [i, place] of places.entries()) place.y = Math.max(place.y, i === 0 ? 6 : (places[i - 1] as { y: number }).y + LABEL_HEIGHT)
  // What has been pushed below the axis goes up again, and takes those above with it.
  let lowest = HEIGHT
  for (const place of places.toReversed()) {
    place.y = Math.min(place.y, lowest)
    lowest = place.y - LABEL_HEIGHT
  }
  return places.flatMap(({ peer, index, name, end, y }) => [
    line(end.x + 7, end.y, right + 10, y, `${seriesClass(index)} leader`),
    text(name, right + 14, y + 4, peer === ROOMCAST ? 'ours' : '')
  ])
}
