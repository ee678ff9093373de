import { element, tenth } from './svg.ts'

/** From the middle to the edge, px. */
const SIZE = 4.5

/** The sign of the `index`-th server at a point: so that colours are not all that tells lines apart. */
export function drawMarker (index: number, x: number, y: number, kind: string): string {
  const s = SIZE
  const path = (...points: [number, number][]): string =>
    element('path', { class: kind, d: `M${points.map(([dx, dy]) => `${tenth(x + dx)} ${tenth(y + dy)}`).join('L')}Z` })
  switch (index % 5) {
    case 0: return element('circle', { class: kind, cx: x, cy: y, r: s })
    case 1: return element('rect', { class: kind, x: x - s + 0.5, y: y - s + 0.5, width: 2 * s - 1, height: 2 * s - 1 })
    case 2: return path([0, -s - 0.5], [s + 0.5, s - 0.5], [-s - 0.5, s - 0.5])
    case 3: return path([0, -s - 1], [s + 1, 0], [0, s + 1], [-s - 1, 0])
    default: return path([0, s + 0.5], [s + 0.5, -s + 0.5], [-s - 0.5, -s + 0.5])
  }
}
