import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CHARTS, writeCharts } from './charts.ts'
import type { Results } from './results.ts'
import { formatTable } from './table.ts'

/** The document, and the folder beside it for its charts. */
const DOCUMENT = 'performance.md'
const FOLDER = 'performance'
/** What stands between these in the document is replaced. */
const BEGIN = '<!-- results -->'
const END = '<!-- /results -->'

/**
 * Puts a run into the documentation: its table and its charts into `performance.md`, between the markers, the charts' files into
 * `performance/`. Charts of an earlier run that this one has nothing for are removed. Throws where the markers are not there.
 *
 * @param docsFolder where the document is
 */
export async function publishResults (results: Results, docsFolder: string): Promise<void> {
  const file = join(docsFolder, DOCUMENT)
  const document = await readFile(file, 'utf8')
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END, begin)
  if (begin === -1 || end === -1) throw new Error(`${file} has no ${BEGIN} … ${END}`)

  const folder = join(docsFolder, FOLDER)
  const written = await writeCharts(results, folder)
  for (const name of Object.keys(CHARTS)) if (!written.includes(name)) await rm(join(folder, name), { force: true })

  const images = written.map((name) => `![${CHARTS[name]?.alternative ?? ''}](${FOLDER}/${name})\n\n`).join('')
  await writeFile(file, `${document.slice(0, begin)}${BEGIN}\n\n${images}${formatTable(results)}\n${document.slice(end)}`)
}
