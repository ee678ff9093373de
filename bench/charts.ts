import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { drawCost } from './charts/cost.ts'
import { drawGrowth } from './charts/growth.ts'
import { drawLatency } from './charts/latency.ts'
import { drawThroughput } from './charts/throughput.ts'
import type { Results } from './results.ts'

/** The charts by their files' names, in the order in which they are shown. Each is an SVG, or undefined where nothing was measured for it. */
export const CHARTS: Record<string, (results: Results) => string | undefined> = {
  'cost.svg': drawCost,
  'throughput.svg': drawThroughput,
  'growth.svg': drawGrowth,
  'latency.svg': drawLatency
}

/** Writes the charts of a run into a folder, which is made; returns the names of the files, without those that nothing was measured for. */
export async function writeCharts (results: Results, folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  const written: string[] = []
  for (const [name, drawChart] of Object.entries(CHARTS)) {
    const svg = drawChart(results)
    if (svg === undefined) continue
    await writeFile(join(folder, name), svg)
    written.push(name)
  }
  return written
}
