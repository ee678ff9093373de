import { formatTick } from '../figures.ts'
import type { Summary } from '../summary.ts'
import { linear, type Scale } from './scale.ts'
import { element, line, MARGIN, spans, text, WIDTH, widthOf, wrap } from './svg.ts'

/** Heights, px. */
const ROW = 24
const BAR = 14
const LINE = 17
const GAP = 16
const AXIS = 20
/** Half of what a whisker's ends measure, px. */
const CAP = 4
/** Space for the text behind the longest bar, px. */
const VALUE_WIDTH = 150
/** At an axis. */
const TICKS = 8
/** Classes of the style sheet. */
const COLOURS = { ours: 's0', baseline: 's1', other: 'other' }

/** One server's bar. */
export interface Bar {
  label: string
  value: Summary
  /** What stands behind it. */
  text: string
  kind: 'ours' | 'baseline' | 'other'
  /** A value that is aimed at, and how that is said. */
  target?: { value: number, text: string }
}

/** The bars of one shape. */
export interface Group {
  name: string
  /** What the shape is. */
  title: string
  bars: Bar[]
}

/** Groups of horizontal bars with whiskers, below each other: on one scale, or on one each. */
export function drawBars (groups: Group[], shared: boolean): { body: string[], height: number } {
  const from = MARGIN + 10 + Math.max(...groups.flatMap(({ bars }) => bars.map(({ label }) => widthOf(label))))
  const common = scaleOf(groups, from)
  const body: string[] = []
  let y = 0
  for (const [i, group] of groups.entries()) {
    const hasAxis = !shared || i === groups.length - 1
    const drawn = drawGroup(group, shared ? common : scaleOf([group], from), from, y, hasAxis)
    body.push(...drawn.parts)
    y = drawn.bottom + (i === groups.length - 1 ? 0 : GAP)
  }
  return { body, height: y }
}

function scaleOf (groups: Group[], from: number): Scale {
  const values = groups.flatMap(({ bars }) => bars.map(({ value, target }) => Math.max(value.max, target?.value ?? 0)))
  return linear(Math.max(...values), from, WIDTH - MARGIN - VALUE_WIDTH, TICKS)
}

function drawGroup (
  { name, title, bars }: Group,
  scale: Scale,
  from: number,
  top: number,
  hasAxis: boolean
): { parts: string[], bottom: number } {
  const [first = '', ...others] = wrap(`${name}: ${title}`)
  const y = top + (1 + others.length) * LINE
  const bottom = y + bars.length * ROW
  const parts = [
    spans([[name, 'ours'], [first.slice(name.length), 'muted']], MARGIN, top + LINE - 5),
    ...others.map((words, i) => text(words, MARGIN, top + (i + 2) * LINE - 5, 'muted')),
    ...scale.ticks.map((tick) => line(scale.at(tick), y, scale.at(tick), bottom, tick === 0 ? 'axis' : 'grid')),
    ...bars.flatMap((bar, i) => drawBar(bar, scale, from, y + (i + 0.5) * ROW))
  ]
  if (!hasAxis) return { parts, bottom }
  return {
    parts: [...parts, ...scale.ticks.map((tick) => text(formatTick(tick), scale.at(tick), bottom + 14, 'muted', 'middle'))],
    bottom: bottom + AXIS
  }
}

function drawBar ({ label, value, text: words, kind, target }: Bar, { at }: Scale, from: number, y: number): string[] {
  const weight = kind === 'ours' ? 'ours' : ''
  const behind = Math.max(at(value.max), at(target?.value ?? 0)) + 8
  const parts = [
    text(label, from - 10, y + 4, weight, 'end'),
    element('rect', { class: `${COLOURS[kind]} bar`, x: from, y: y - BAR / 2, width: at(value.median) - from, height: BAR })
  ]
  if (value.max > value.min) {
    parts.push(
      line(at(value.min), y, at(value.max), y, 'mark whisker'),
      line(at(value.min), y - CAP, at(value.min), y + CAP, 'mark whisker'),
      line(at(value.max), y - CAP, at(value.max), y + CAP, 'mark whisker')
    )
  }
  if (target !== undefined) parts.push(line(at(target.value), y - ROW / 2 + 1, at(target.value), y + ROW / 2 - 1, 'target'))
  parts.push(text(words, behind, y + 4, weight))
  const rest = behind + widthOf(words) + 10
  if (target !== undefined && rest + widthOf(target.text) < WIDTH - MARGIN) parts.push(text(target.text, rest, y + 4, 'muted'))
  return parts
}
