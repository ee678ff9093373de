import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where the project is: this file is compiled into `dist/bench/`. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What is not compiled: the peers, and the results. */
export const BENCH = join(ROOT, 'bench')

/** The documentation. */
export const DOCS = join(ROOT, 'docs')
