import { Redis, type RedisOptions } from 'ioredis'

/** Where a server is. */
export interface Address {
  host: string
  port: number
}

/** What a server is called. */
export function nameOf ({ host, port }: Address): string {
  return `${host}:${port}`
}

/** How Redis is reached. */
export interface RedisSettings {
  /** One server, a master that sentinels know, or a cluster. */
  kind: 'single' | 'sentinel' | 'cluster'
  /** The server; the sentinels; some nodes of the cluster. */
  addresses: Address[]
  /** Of the sentinels' master. */
  name?: string | undefined
  /** Of the servers. */
  username?: string | undefined
  password?: string | undefined
  /** Of the sentinels. */
  sentinelUsername?: string | undefined
  sentinelPassword?: string | undefined
  database: number
  tls: boolean
  /** What it has acknowledged it never forgets: it may be restarted without the rooms starting new epochs. */
  durable: boolean
}

/** The first attempt to come back is made at once, the others ever later up to this, ms. */
const MAX_RETRY_MS = 1_000
/** Time for the TCP connection, ms. */
const CONNECT_TIMEOUT_MS = 5_000
/** A connection that is given up is ended politely for this long, ms. */
const DISCONNECT_TIMEOUT_MS = 200

/**
 * A connection to a server that comes back by itself and does nothing else by itself: what was in flight when it
 * was lost is rejected at once, nothing is queued, nothing is subscribed again. It connects when it is told to.
 *
 * @param address of a cluster's node; otherwise the settings say where
 */
export function makeClient (settings: RedisSettings, address?: Address): Redis {
  const { kind, addresses: [first], username, password, database, tls } = settings
  const options: RedisOptions = {
    lazyConnect: true,
    connectionName: 'roomcast',
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => times === 1 ? 0 : Math.min(25 * 2 ** Math.min(times, 10), MAX_RETRY_MS),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls: {} })
  }
  if (kind !== 'sentinel') return new Redis({ ...options, ...(address ?? first), db: database })
  return new Redis({
    ...options,
    db: database,
    sentinels: settings.addresses,
    name: settings.name as string,
    sentinelRetryStrategy: (times) => Math.min(50 * times, MAX_RETRY_MS),
    ...(settings.sentinelUsername !== undefined && { sentinelUsername: settings.sentinelUsername }),
    ...(settings.sentinelPassword !== undefined && { sentinelPassword: settings.sentinelPassword }),
    enableTLSForSentinelMode: tls,
    ...(tls && { sentinelTLS: {} })
  })
}
