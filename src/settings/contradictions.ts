/** Time in which connections still open after the drain's window are destroyed, ms. */
const DRAIN_REST_MS = 5_000

/** The settings that depend on each other. */
interface DependentSettings {
  JWT_SECRET?: string
  JWT_SECRET_PREVIOUS?: string
  REDIS_PREFIX: string
  HISTORY_SIZE: number
  HISTORY_TTL_SECONDS: number
  ROOMS_FILE?: string
  MAX_HISTORY_BYTES: number
  MAX_MESSAGE_BYTES: number
  MAX_QUEUE_BYTES: number
  MAX_CONNECTIONS: number
  MAX_CONNECTIONS_PER_USER: number
  MAX_CONNECTIONS_PER_ADDRESS: number
  MESSAGE_RATE: number
  MESSAGE_BURST: number
  REST_RATE: number
  REST_BURST: number
  DRAIN_DELAY_MS: number
  DRAIN_WINDOW_MS: number
  DRAIN_DEADLINE_MS: number
}

interface ContradictionOptions {
  /** The settings with another value than their default. */
  changed: ReadonlySet<string>
  hasRedis: boolean
}

/** Finds settings that have no effect, or not the intended one, because of another setting; returns a warning for each. */
export function findContradictions (settings: DependentSettings, { changed, hasRedis }: ContradictionOptions): string[] {
  const warnings: string[] = []
  const warn = (condition: boolean, warning: string): void => { if (condition) warnings.push(warning) }
  const { MAX_MESSAGE_BYTES, MAX_CONNECTIONS } = settings
  const isBelow = (limit: number, other: number): boolean => limit > 0 && other > 0 && limit < other

  const { JWT_SECRET: secret, JWT_SECRET_PREVIOUS: previous } = settings
  warn(previous !== undefined && secret === undefined, 'JWT_SECRET_PREVIOUS is set without JWT_SECRET: remove it when the rotation is over')
  warn(previous !== undefined && secret === previous, 'JWT_SECRET_PREVIOUS is the same as JWT_SECRET: remove it, or rotate JWT_SECRET')
  warn(!hasRedis && changed.has('REDIS_PREFIX'), 'REDIS_PREFIX has no effect without Redis: set REDIS_URL as well')
  warn(hasRedis && changed.has('MAX_HISTORY_BYTES'), 'MAX_HISTORY_BYTES has no effect with Redis: set maxmemory of Redis instead')
  if (settings.ROOMS_FILE === undefined) {
    const isOff = (name: 'HISTORY_SIZE' | 'HISTORY_TTL_SECONDS', other: 'HISTORY_SIZE' | 'HISTORY_TTL_SECONDS'): boolean =>
      settings[other] === 0 && settings[name] > 0 && changed.has(name)
    warn(isOff('HISTORY_TTL_SECONDS', 'HISTORY_SIZE'), 'HISTORY_TTL_SECONDS has no effect: HISTORY_SIZE=0 turns history off')
    warn(isOff('HISTORY_SIZE', 'HISTORY_TTL_SECONDS'), 'HISTORY_SIZE has no effect: HISTORY_TTL_SECONDS=0 turns history off')
  }
  for (const name of ['MAX_QUEUE_BYTES', 'MAX_HISTORY_BYTES'] as const) {
    warn(isBelow(settings[name], MAX_MESSAGE_BYTES), `${name} is below MAX_MESSAGE_BYTES: one message may exceed it; raise it`)
  }
  for (const name of ['MAX_CONNECTIONS_PER_USER', 'MAX_CONNECTIONS_PER_ADDRESS'] as const) {
    warn(isBelow(MAX_CONNECTIONS, settings[name]), `${name} has no effect: it is above MAX_CONNECTIONS`)
  }
  for (const kind of ['MESSAGE', 'REST'] as const) {
    const [rate, burst] = [settings[`${kind}_RATE`], settings[`${kind}_BURST`]]
    warn(rate === 0 && changed.has(`${kind}_BURST`), `${kind}_BURST has no effect: ${kind}_RATE=0 is no limit`)
    warn(rate > 0 && burst === 0, `${kind}_BURST=0 counts as 1: set ${kind}_RATE=0 for no limit`)
  }
  const drainMs = settings.DRAIN_DELAY_MS + settings.DRAIN_WINDOW_MS + DRAIN_REST_MS
  warn(
    settings.DRAIN_DEADLINE_MS < drainMs,
    `DRAIN_DEADLINE_MS is below DRAIN_DELAY_MS + DRAIN_WINDOW_MS + ${DRAIN_REST_MS}: raise it to ${drainMs}, or a shutdown may exit with 1`
  )
  return warnings
}
