import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { drawCost } from './charts/cost.ts'
import { drawGrowth } from './charts/growth.ts'
import { drawLatency } from './charts/latency.ts'
import { drawThroughput } from './charts/throughput.ts'
import type { Results } from './results.ts'

/** A chart that can be made of a run. */
export interface Chart {
  /** What stands for it where images are not shown. */
  alternative: string
  /** Makes the SVG; undefined where nothing was measured for it. */
  draw: (results: Results) => string | undefined
}

/** The charts by their files' names, in the order in which they are shown. */
export const CHARTS: Record<string, Chart> = {
  'cost.svg': { alternative: 'Server CPU per delivery, as a ratio to the naive server', draw: drawCost },
  'throughput.svg': { alternative: 'Deliveries per second', draw: drawThroughput },
  'growth.svg': { alternative: 'Server CPU per delivery by the number of members', draw: drawGrowth },
  'latency.svg': { alternative: 'Time from the publish to the receipt, by percentiles', draw: drawLatency }
}

/** Writes the charts of a run into a folder, which is made; returns the names of the files, without those that nothing was measured for. */
export async function writeCharts (results: Results, folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  const written: string[] = []
  for (const [name, { draw }] of Object.entries(CHARTS)) {
    const svg = draw(results)
    if (svg === undefined) continue
    await writeFile(join(folder, name), svg)
    written.push(name)
  }
  return written
}
