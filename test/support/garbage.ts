import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')

/** Collects garbage now, so that only used memory is left. */
export const collectGarbage = runInNewContext('gc') as () => void
