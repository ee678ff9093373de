import type { LoadOptions } from './options.ts'
import { runLoad } from './load.ts'

/*
 * The load generator, as a process: node dist/bench/load/index.js '<LoadOptions as JSON>' writes a LoadResult to
 * standard output.
 */
const options = JSON.parse(process.argv[2] ?? '{}') as LoadOptions
try {
  const result = await runLoad(options)
  process.stdout.write(`${JSON.stringify(result)}\n`, () => { process.exit(0) })
} catch (error) {
  console.error(`load generator: ${(error as Error).message}`)
  process.exit(1)
}
