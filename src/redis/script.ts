import { createHash } from 'node:crypto'
import type { Repeatable } from './request.ts'

/** A Lua script, named by its SHA-1. */
export interface Script {
  readonly lua: string
  readonly sha: string
  readonly repeatable: Repeatable
}

const registered: Script[] = []

/** All scripts of the modules loaded so far. Each connection loads them before it is used. */
export const SCRIPTS: readonly Script[] = registered

/** Makes a script and registers it. Scripts are made once, when their module is loaded. */
export function script (lua: string, repeatable: Repeatable): Script {
  const made = { lua, sha: createHash('sha1').update(lua).digest('hex'), repeatable }
  registered.push(made)
  return made
}
