import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'

/*
 * Loaded into an instance before it starts (node --import): tells the process that started it what it has counted.
 * The instance itself is the one that everybody runs.
 */

/** What an instance has counted since its start. */
export type Counts = Record<'gaps' | 'filled' | 'resets' | 'duplicates' | 'probeFailures', number>

/** How often it tells, ms: what was counted after the last time is lost with an instance that is killed. */
const INTERVAL_MS = 200

let root: FastifyInstance | undefined
// https://fastify.dev/docs/latest/Reference/Hooks/#diagnostics-channel-hooks
subscribe('fastify.initialization', (message) => { root ??= (message as { fastify: FastifyInstance }).fastify })

setInterval(() => {
  if (root?.hasDecorator('roomcast') !== true) return
  const { continuity, broker } = root.roomcast
  const counts: Counts = { ...continuity.counts, probeFailures: broker.counts.probeFailures }
  process.send?.(counts, undefined, undefined, () => {})
}, INTERVAL_MS).unref()
