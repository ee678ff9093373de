import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from './connection.ts'
import type { Hub } from './hub.ts'

/** Time between steps of the drain, ms; each step closes a part of the connections. */
const STEP_MS = 50
/** Clients reconnect after this time and up to the spread later, ms, each at its own time. */
const RETURN_MIN_MS = 500
const RETURN_SPREAD_MS = 2_000

/** The graceful shutdown of the service. */
export interface Shutdown {
  /** Whether load balancers should send no more traffic. */
  readonly leaving: boolean
  /** Whether new connections are refused. */
  readonly draining: boolean
  /** Closes the connections gradually, over `DRAIN_WINDOW_MS`; the application's `close()` follows. */
  drain: () => Promise<void>
}

/**
 * Tells every connection of the instance about the shutdown, and closes the connections evenly over a window. Resolves when
 * all sockets are closed, the last ones by force, with the number of those.
 *
 * @param windowMs time over which connections are closed
 * @param graceMs time after the window for clients to answer their close frame
 */
export async function drain (hub: Hub, windowMs: number, graceMs: number): Promise<number> {
  const connections = [...hub.connections]
  const spread = Math.max(windowMs, RETURN_SPREAD_MS)
  for (const connection of connections) {
    connection.send({ type: 'shutdown', text: 'Server restarting', retryAfterMs: Math.round(RETURN_MIN_MS + Math.random() * spread) })
  }
  await closeEvenly(connections, windowMs)
  for (const connection of hub.connections) connection.close('goingDown') // Connections opened meanwhile.
  await Promise.race([hub.emptied(), sleep(graceMs, undefined, { ref: false })])
  const { size } = hub.connections
  for (const connection of hub.connections) connection.terminate()
  return size
}

async function closeEvenly (connections: Connection[], windowMs: number): Promise<void> {
  const steps = Math.max(1, Math.floor(windowMs / STEP_MS))
  for (let step = 1; step <= steps; step++) {
    const from = Math.floor(connections.length * (step - 1) / steps)
    const to = Math.floor(connections.length * step / steps)
    for (const connection of connections.slice(from, to)) connection.close('goingDown')
    if (step < steps && connections.some((connection) => !connection.ended)) await sleep(STEP_MS)
  }
}
