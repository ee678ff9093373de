import { STYLE } from './style.ts'

type Attributes = Record<string, string | number>

/** Width of every chart, px. */
export const WIDTH = 760
/** Between what is drawn and the edge, px. */
export const MARGIN = 24
/** Size of most text, px. */
export const FONT_SIZE = 12
const TITLE_SIZE = 16
const LINE = 17

/** What a chart is about, and what is drawn in it. */
export interface Drawing {
  title: string
  /** What stands under the title: what is shown, in which unit, from how many runs. */
  subtitle: string
  /** What who cannot see it is told: its figures. */
  description: string
  /** What stands at the bottom: on what it was measured. */
  footer: string
  /** Height of the body, px. */
  height: number
  /** Drawn from 0, 0 at the left edge below the head. */
  body: string[]
}

/** A whole SVG document: head, body and foot on a background of its own. */
export function draw ({ title, subtitle, description, footer, height, body }: Drawing): string {
  const below = wrap(subtitle)
  const foot = wrap(footer)
  const top = MARGIN + TITLE_SIZE + below.length * LINE + 12
  const bottom = top + height + 10 + foot.length * LINE
  const total = Math.round(bottom + MARGIN - 8)
  return `${element('svg', {
    xmlns: 'http://www.w3.org/2000/svg',
    width: WIDTH,
    height: total,
    viewBox: `0 0 ${WIDTH} ${total}`,
    role: 'img',
    'aria-labelledby': 'title description'
  }, [
    element('title', { id: 'title' }, [escape(title)]),
    element('desc', { id: 'description' }, [escape(description)]),
    element('style', {}, [STYLE]),
    element('rect', { class: 'background', x: 0.5, y: 0.5, width: WIDTH - 1, height: total - 1, rx: 8 }),
    text(title, MARGIN, MARGIN + TITLE_SIZE - 4, 'title'),
    ...below.map((line, i) => text(line, MARGIN, MARGIN + TITLE_SIZE + (i + 1) * LINE, 'muted')),
    element('g', { transform: `translate(0 ${top})` }, body),
    ...foot.map((line, i) => text(line, MARGIN, top + height + 10 + (i + 1) * LINE - 5, 'muted'))
  ].map((part) => `\n${part}`))}\n`
}

/** An element. What is in it has been escaped. */
export function element (name: string, attributes: Attributes, children: readonly string[] = []): string {
  const written = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? tenth(value) : escape(value)}"`)
    .join('')
  return children.length === 0 ? `<${name}${written}/>` : `<${name}${written}>${children.join('')}</${name}>`
}

/** A line of text, on the background where it lies over something else. */
export function text (content: string, x: number, y: number, kind = '', anchor: 'start' | 'middle' | 'end' = 'start'): string {
  return element(
    'text',
    { x, y, ...(kind !== '' && { class: kind }), ...(anchor !== 'start' && { 'text-anchor': anchor }) },
    [escape(content)]
  )
}

/** A line of text in parts, each of its own kind. */
export function spans (parts: [content: string, kind: string][], x: number, y: number): string {
  return element('text', { x, y }, parts.map(([content, kind]) => element('tspan', { class: kind }, [escape(content)])))
}

export function line (x1: number, y1: number, x2: number, y2: number, kind: string): string {
  return element('line', { x1, y1, x2, y2, class: kind })
}

/** About the width of a text, px: rather too much, for nobody knows which font it will be. */
export function widthOf (content: string): number {
  return content.length * FONT_SIZE * 0.61
}

/** The same of a sentence, whose letters are narrower than figures and capitals. */
function widthOfProse (content: string): number {
  return content.length * FONT_SIZE * 0.54
}

/** Lines of text that fit between the margins. */
export function wrap (content: string): string[] {
  const lines: string[] = []
  let current = ''
  for (const word of content.split(' ')) {
    if (current !== '' && widthOfProse(`${current} ${word}`) > WIDTH - 2 * MARGIN) {
      lines.push(current)
      current = word
    } else {
      current = current === '' ? word : `${current} ${word}`
    }
  }
  return current === '' ? lines : [...lines, current]
}

/** What XML cannot hold is replaced, and what it would take for markup is written as an entity. */
function escape (content: string): string {
  return content.toWellFormed()
    // eslint-disable-next-line no-control-regex -- XML 1.0, section 2.2: these cannot be written in any way
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
    .replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** A length in tenths of a pixel: enough, and the same on every machine. */
export function tenth (value: number): number {
  return Math.round(value * 10) / 10
}
