/** Colours of a chart, on light and on dark backgrounds. */
type Colours = [light: string, dark: string]

const BACKGROUND: Colours = ['#ffffff', '#0d1117']
const BORDER: Colours = ['#d1d9e0', '#3d444d']
const INK: Colours = ['#1f2328', '#f0f6fc']
const MUTED: Colours = ['#59636e', '#9198a1']
/** Bars of all but Roomcast and the baseline. */
const OTHER: Colours = ['#b4bbc2', '#59616a']
const GRID: Colours = ['#e2e6ea', '#262c33']

/**
 * Colours of servers: Roomcast's, the baseline's, and the others'. After Okabe and Ito, which people who confuse red and green can
 * tell apart, made darker or lighter until they stand out from the background by 3 : 1.
 */
const SERIES: Colours[] = [
  ['#0072b2', '#56b4e9'],
  ['#6e7781', '#9aa4ae'],
  ['#c24e00', '#ff9447'],
  ['#00805c', '#2fc99b'],
  ['#a5528a', '#e59fc8'],
  ['#946b00', '#e8c33c'],
  ['#5b4bb7', '#b3a6ff']
]

/** How many servers have a colour of their own. */
export const SERIES_COLOURS = SERIES.length

/** Colour of the `index`-th server, as a class of lines and of areas; beyond those there are, they come again. */
export function seriesClass (index: number): string {
  return `s${index < SERIES_COLOURS ? index : 2 + (index - 2) % (SERIES_COLOURS - 2)}`
}

// Classes instead of variables: some programs that show SVG know no variables.
function rules (of: (colours: Colours) => string): string {
  return `
.background{fill:${of(BACKGROUND)};stroke:${of(BORDER)}}
text{fill:${of(INK)};stroke:${of(BACKGROUND)}}
.muted{fill:${of(MUTED)}}
.grid{stroke:${of(GRID)}}
.axis{stroke:${of(MUTED)}}
.mark,.target{stroke:${of(INK)}}
${SERIES.map((colours, i) => `.s${i}{fill:${of(colours)};stroke:${of(colours)}}`).join('\n')}
.other{fill:${of(OTHER)}}
.point,.sign{stroke:${of(BACKGROUND)}}`
}

/** The style sheet of every chart. */
export const STYLE = `
text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;paint-order:stroke;stroke-width:3px;stroke-linejoin:round}
.title{font-size:16px;font-weight:600}
.ours{font-weight:600}
.grid,.axis{stroke-width:1px}
.mark{stroke-width:2px}
.whisker{stroke-width:1.5px}
.bar{stroke:none}
.band{stroke:none;fill-opacity:.16}
.leader{stroke-width:1px;stroke-dasharray:2 2}
.line{fill:none;stroke-width:1.75px;stroke-linejoin:round}
.thick{stroke-width:3px}
.range{stroke-width:2px;stroke-opacity:.5}
.point,.sign{stroke-width:1.5px}
.target{stroke-width:2px;stroke-dasharray:4 3}
${rules(([light]) => light)}
@media (prefers-color-scheme:dark){${rules(([, dark]) => dark)}
}
.line{fill:none}
.bar,.band{stroke:none}
`
