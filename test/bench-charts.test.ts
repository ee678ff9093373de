import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { CHARTS, writeCharts } from '../bench/charts.ts'
import { linear, logarithmic } from '../bench/charts/scale.ts'
import { publishResults } from '../bench/publish.ts'
import type { Figure, Measured, Results, Run, ShapeResults } from '../bench/results.ts'
import { summarize, summarizeRatio } from '../bench/summary.ts'
import { formatTable } from '../bench/table.ts'
import { startBrowser } from './support/browser.ts'

const ALL = ['cost.svg', 'throughput.svg', 'growth.svg', 'latency.svg']
/** A server's name that would be markup, in SVG and in Markdown, and that XML cannot hold as it is. */
const HOSTILE = '<b>&"|*\u0001'

/** ns per delivery, by server. */
const COSTS: Record<string, number> = { naive: 5_000, roomcast: 200, 'socket.io': 7_000, [HOSTILE]: 500 }

/** Three runs around a figure. */
function runsOf (cost: number): Run[] {
  return [0.9, 1.2, 1].map((factor) => ({
    cpuNs: cost * factor,
    deliveriesPerSecond: 1e9 / cost / factor,
    latencyUs: { p50: cost * factor, p90: cost * 2, p99: cost * 3, p999: cost * 5, max: cost * 50 },
    generatorLoad: cost < 300 ? 0.99 : 0.4
  }))
}

function shapeOf (shape: string, figure: Figure, measured: Measured[], rest: Partial<ShapeResults> = {}): ShapeResults {
  return { shape, title: `what ${shape} is`, figure, baseline: 'naive', measured, ...rest }
}

const measuredOf = (factor = 1, at?: number): Measured[] =>
  Object.entries(COSTS).map(([peer, cost]) => ({ peer, ...(at !== undefined && { at }), runs: runsOf(cost * factor) }))

function makeResults (shapes: ShapeResults[] = [
  shapeOf('hot', 'cpuNs', measuredOf(), { target: 0.06 }),
  shapeOf('tick', 'cpuNs', measuredOf(2), { target: 0.02 }),
  shapeOf('rooms', 'cpuNs', measuredOf(3)),
  shapeOf(
    'growth',
    'cpuNs',
    [100, 1_000, 20_000].flatMap((at) => measuredOf(1 + at / 100_000, at)),
    { points: { parameter: 'members', values: [100, 1_000, 20_000] }, target: 1.1, versus: 'first point' }
  ),
  shapeOf('tick50', 'p50Us', measuredOf()),
  shapeOf(
    'rest',
    'perSecond',
    ['fastify', 'roomcast'].map((peer, i) => ({ peer, runs: [{ perSecond: 20_000 - 5_000 * i }] })),
    { baseline: 'fastify', target: 0.5 }
  ),
  shapeOf('redis-rate', 'perSecond', [{ peer: 'roomcast', runs: [{ perSecond: 14_000 }, { perSecond: 16_000 }] }], {
    baseline: 'roomcast alone',
    atLeast: 14_000
  })
]): Results {
  return {
    date: '2025-01-02T03:04:05.000Z',
    machine: { cpu: 'Some & Co.', cores: 2, memoryBytes: 4 * 2 ** 30, system: 'Linux', pinned: true },
    versions: { node: '20.12.0' },
    missing: { nchan: 'not on the PATH' },
    remarks: ['There is [more].'],
    shapes
  }
}

const readAll = (folder: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))

test('charts name every server and its figure, and need nothing from elsewhere', async (t) => {
  const folder = join(t.testdir({}), 'made')
  t.strictSame(await writeCharts(makeResults(), folder), ALL)
  const files = readAll(folder)
  t.strictSame(Object.keys(files).sort(), [...ALL].sort())
  for (const [name, svg] of Object.entries(files)) {
    for (const peer of ['naive', 'roomcast', 'socket.io', '&lt;b&gt;&amp;&quot;|*\ufffd']) {
      t.ok(svg.includes(`>${peer}`), `${name} has ${peer}`)
    }
    t.match(svg, /<title id="title">[^<]+<\/title>/)
    t.match(svg, /<desc id="description">[^<]+<\/desc>/)
    t.match(svg, '3 runs')
    t.match(svg, 'prefers-color-scheme:dark')
    t.notMatch(svg, /NaN|Infinity|undefined|<script|href|url\(|@import/)
  }
  t.match(files['cost.svg'], '>0.040 × (200 ns)<')
  t.match(files['cost.svg'], '>target 0.06 ×: met<')
  t.match(files['cost.svg'], '>target 0.02 ×: missed<')
  t.match(files['throughput.svg'], '>5.00 million †<', 'the load generator was at its limit')
  t.match(files['throughput.svg'], '>200,000<')
  t.match(files['growth.svg'], '>roomcast 240<', 'with most members')
  t.match(files['latency.svg'], '>5.00 ms / 15.0 ms<')
})

test('the same run gives the same charts', async (t) => {
  const folder = t.testdir({ a: {}, b: {} })
  await writeCharts(makeResults(), join(folder, 'a'))
  await writeCharts(structuredClone(makeResults()), join(folder, 'b'))
  t.strictSame(readAll(join(folder, 'a')), readAll(join(folder, 'b')))
})

test('charts that nothing was measured for are left out, and so are servers', async (t) => {
  const folder = t.testdir({})
  t.strictSame(await writeCharts(makeResults([]), folder), [])
  const empty = shapeOf('hot', 'cpuNs', [{ peer: 'naive', runs: [] }, { peer: 'roomcast', runs: [{}] }], { target: 1 })
  t.strictSame(await writeCharts(makeResults([empty, shapeOf('growth', 'cpuNs', []), shapeOf('tick50', 'p50Us', [])]), folder), [])
  t.doesNotThrow(() => formatTable(makeResults([empty])))
  const alone = shapeOf('solo', 'cpuNs', [{ peer: 'naive', runs: runsOf(0) }, { peer: 'roomcast', runs: runsOf(9) }])
  t.strictSame(await writeCharts(makeResults([alone]), folder), [], 'nothing can be divided by 0')
  const once = [
    shapeOf('hot', 'cpuNs', [{ peer: 'naive', runs: [{ cpuNs: 5 }] }]),
    shapeOf('growth', 'cpuNs', [{ peer: 'roomcast', at: 100, runs: [{ cpuNs: 0 }] }], { points: { parameter: 'members', values: [100] } }),
    shapeOf('tick', 'cpuNs', [{ peer: 'naive', runs: [{ latencyUs: { p50: 10, p90: 10, p99: 10, p999: 10, max: 10 } }] }])
  ]
  t.strictSame(await writeCharts(makeResults(once), folder), ['cost.svg', 'growth.svg', 'latency.svg'])
  for (const svg of Object.values(readAll(folder))) t.notMatch(svg, /NaN|Infinity|undefined/)
})

test('charts are XML, and no text is cut or lies on another', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const page = await browser.newPage()
  for (const [name, { draw }] of Object.entries(CHARTS)) {
    const svg = draw(makeResults()) ?? ''
    await page.setContent(svg)
    const faults: string[] = await page.evaluate((svg) => {
      const parsed = new DOMParser().parseFromString(svg, 'image/svg+xml')
      const error = parsed.querySelector('parsererror')?.textContent
      if (error != null) return [error]
      if (parsed.documentElement.namespaceURI !== 'http://www.w3.org/2000/svg') return ['not SVG']
      const frame = (document.querySelector('svg') as SVGElement).getBoundingClientRect()
      const texts = [...document.querySelectorAll('text')].map((text) => ({ said: text.textContent, box: text.getBoundingClientRect() }))
      // Lines of text may touch: boxes have room for accents.
      const touches = (a: DOMRect, b: DOMRect): boolean =>
        a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom
      return texts.flatMap(({ said, box }, i) => [
        ...(box.left < frame.left || box.right > frame.right || box.top < frame.top || box.bottom > frame.bottom ? [`cut: ${said}`] : []),
        ...texts.slice(i + 1).filter((other) => touches(box, other.box)).map((other) => `on each other: ${said}, ${other.said}`)
      ])
    }, svg)
    t.strictSame(faults, [], name)
  }
})

test('the table has medians, spreads, ratios, targets, the machine, and who is missing', (t) => {
  const table = formatTable(makeResults())
  t.match(
    table,
    'Measured on 2025-01-02: Some & Co., 2 cores, 4 GB, Linux, server and load generator on a core each. Versions: node 20.12.0.'
  )
  t.match(table, 'Cells: the median of 1–3 runs (least–most), and the ratio to what the heading calls 1.')
  t.match(table, '| shape | **roomcast** | naive | socket.io | \\<b\\>&"\\|\\*\u0001 | target for roomcast |')
  t.match(table, '| **hot**: what hot is | **200 (180–240)**<br>0.040 × | 5,000 (4,500–6,000)<br>1.00 × |')
  t.match(table, '| ≤ 0.06 ×: met |')
  t.match(table, '| ≤ 0.02 ×: **missed** |')
  t.match(table, '### Server CPU per delivery, ns (naive = 1)\n')
  t.match(table, '### Publishes per second (fastify = 1)\n')
  t.match(table, '| **growth**<br>1,000 members | **202 (')
  t.match(table, '| ≤ 1.1 × of 100 members: 1.01 ×, met |')
  t.match(table, '| ≤ 1.1 × of 100 members: 1.20 ×, **missed** |')
  t.match(table, '| **15,000 (14,000–16,000)** | ≥ 14,000: met |')
  t.match(table, '| **growth**, most by least | 1.20 × | 1.20 × |')
  t.match(table, '<br>99 %: 15,000<br>')
  t.match(table, '| **15,000**<br>0.75 × | 20,000<br>1.00 × | ≥ 0.5 ×: met |', 'more is better per second')
  t.ok(table.endsWith('\n- Left out: nchan (not on the PATH).\n- There is \\[more\\].\n'))
  t.match(
    formatTable(makeResults([shapeOf('hot', 'cpuNs', [{ peer: 'naive', runs: [{ cpuNs: 1, lost: 2 }, { cpuNs: 1, lost: 1_000 }] }])])),
    '<br>1,002 lost |'
  )
  t.end()
})

test('a run is published between the markers of the document, again and again', async (t) => {
  const folder = t.testdir({ 'performance.md': '# Before\n\n<!-- results -->\nnone yet\n<!-- /results -->\n\nBehind.\n' })
  const read = (): string => readFileSync(join(folder, 'performance.md'), 'utf8')
  await publishResults(makeResults(), folder)
  const first = read()
  t.ok(
    first.startsWith('# Before\n\n<!-- results -->\n\n![Server CPU per delivery, as a ratio to the naive server](performance/cost.svg)\n')
  )
  t.ok(first.endsWith('\n\n<!-- /results -->\n\nBehind.\n'))
  t.notMatch(first, 'none yet')
  t.ok(first.includes(formatTable(makeResults())))
  t.strictSame(readdirSync(join(folder, 'performance')).sort(), [...ALL].sort())
  await publishResults(makeResults(), folder)
  t.equal(read(), first)

  await publishResults(makeResults([shapeOf('tick50', 'p50Us', measuredOf())]), folder)
  t.strictSame(readdirSync(join(folder, 'performance')), ['latency.svg'], 'charts of the earlier run are gone')
  t.notMatch(read(), 'cost.svg')
  await t.rejects(publishResults(makeResults(), t.testdir({ 'performance.md': '# No markers\n' })))
})

test('a ratio is that of two runs of the same round, where every round has both', (t) => {
  const naive: Measured = { peer: 'naive', runs: [{ cpuNs: 10 }, { cpuNs: 40 }, { cpuNs: 20 }] }
  const ratio = (runs: Run[]) => summarizeRatio(shapeOf('hot', 'cpuNs', [naive]), { peer: 'roomcast', runs })
  t.strictSame(ratio([{ cpuNs: 5 }, { cpuNs: 20 }, { cpuNs: 10 }]), { median: 0.5, min: 0.5, max: 0.5, runs: 3 })
  t.strictSame(ratio([{ cpuNs: 5 }, { cpuNs: 20 }]), { median: 0.625, min: 0.25, max: 1, runs: 2 }, 'otherwise by the median')
  t.equal(summarizeRatio(shapeOf('hot', 'cpuNs', []), naive), undefined)
  t.strictSame(summarize([4, undefined, 1, NaN, 2, 3]), { median: 2.5, min: 1, max: 4, runs: 4 })
  t.end()
})

test('axes have ticks that people would choose', (t) => {
  t.strictSame(linear(1.45, 0, 100, 8).ticks, [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4])
  t.strictSame(linear(7_400, 0, 100, 6).ticks, [0, 2_000, 4_000, 6_000])
  t.strictSame(linear(0.3, 0, 100, 3).ticks, [0, 0.1, 0.2, 0.3])
  t.equal(linear(0, 5, 100, 6).at(0), 5)
  const { at, ticks } = logarithmic(120, 9_000, 0, 100)
  t.strictSame(ticks, [100, 200, 500, 1_000, 2_000, 5_000, 10_000])
  t.equal(at(100), 0)
  t.equal(Math.round(at(1_000)), 50)
  t.strictSame(logarithmic(10, 10, 0, 100).ticks, [10, 20])
  t.end()
})
