import { Redis, type RedisOptions } from 'ioredis'

/** The address of a server. */
export interface Address {
  host: string
  port: number
}

/** The name of a server: its address. */
export function nameOf ({ host, port }: Address): string {
  return `${host}:${port}`
}

/** The way to reach Redis. */
export interface RedisSettings {
  /** One server, the master that sentinels name, or a cluster. */
  kind: 'single' | 'sentinel' | 'cluster'
  /** The server, the sentinels, or some nodes of the cluster. */
  addresses: Address[]
  /** Name of the master, as the sentinels know it. */
  name?: string | undefined
  /** Credentials for the servers. */
  username?: string | undefined
  password?: string | undefined
  /** Credentials for the sentinels. */
  sentinelUsername?: string | undefined
  sentinelPassword?: string | undefined
  database: number
  tls: boolean
  /** Whether Redis keeps all acknowledged writes. If so, rooms keep their epochs when Redis is restarted. */
  durable: boolean
}

/** Longest wait between two attempts to reconnect, ms. The first attempt is immediate. */
const MAX_RETRY_MS = 1_000
/** Time for the TCP connection, ms. */
const CONNECT_TIMEOUT_MS = 5_000
/** Time for a graceful end of a connection, ms. */
const DISCONNECT_TIMEOUT_MS = 200

/**
 * Makes a client that reconnects automatically and does nothing else unasked. When the connection is lost, it rejects
 * the commands without a reply at once. It queues nothing and subscribes nothing again. The first connect is up to the
 * caller.
 *
 * @param address the node of a cluster; otherwise the settings have the address
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
    ...(settings.name !== undefined && { name: settings.name }),
    sentinelRetryStrategy: (times) => Math.min(50 * times, MAX_RETRY_MS),
    ...(settings.sentinelUsername !== undefined && { sentinelUsername: settings.sentinelUsername }),
    ...(settings.sentinelPassword !== undefined && { sentinelPassword: settings.sentinelPassword }),
    enableTLSForSentinelMode: tls,
    ...(tls && { sentinelTLS: {} })
  })
}
