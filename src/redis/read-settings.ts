import type { RedisSettings } from './settings.ts'
import { readRedisUrl, type RedisUrl, withoutPassword } from './url.ts'

/** The environment's settings of Redis, lists split into their items. */
export interface RedisEnvironment {
  url?: string | undefined
  /** Undefined unless `REDIS_SENTINELS` is set. */
  sentinels?: string[] | undefined
  sentinelName?: string | undefined
  cluster: string[]
  durable: boolean
}

/**
 * Reads the settings of Redis; undefined if there is none.
 *
 * @param faults receives a text for each fault, which names the variable
 */
export function readRedisSettings (environment: RedisEnvironment, faults: string[]): RedisSettings | undefined {
  const { url, sentinels, sentinelName: name, cluster, durable } = environment
  const [server] = readUrls('REDIS_URL', url === undefined ? [] : [url], faults)
  const watchers = readUrls('REDIS_SENTINELS', sentinels ?? [], faults)
  const nodes = readUrls('REDIS_CLUSTER', cluster, faults)
  if (durable && server === undefined && watchers.length === 0 && nodes.length === 0) {
    faults.push('REDIS_DURABLE is set without Redis: set REDIS_URL as well')
  }
  if (sentinels !== undefined && name === undefined) faults.push('REDIS_SENTINEL_NAME is required beside REDIS_SENTINELS')
  if (sentinels === undefined && name !== undefined) faults.push('REDIS_SENTINEL_NAME goes with REDIS_SENTINELS')
  if (watchers.length > 0 && nodes.length > 0) faults.push('REDIS_SENTINELS and REDIS_CLUSTER exclude each other')
  if (durable && (watchers.length > 0 || nodes.length > 0)) {
    faults.push('REDIS_DURABLE is for one Redis: a failover may forget what was acknowledged')
  }
  if (nodes.length > 0 && (server?.database ?? 0) !== 0) faults.push('REDIS_URL has a database, and a cluster has none')

  const { username, password, database = 0, tls = false } = server ?? {}
  const common = { username, password, database, tls, durable }
  const [watcher] = watchers
  if (watcher !== undefined) {
    const addresses = watchers.map(({ address }) => address)
    return { ...common, kind: 'sentinel', addresses, name, sentinelUsername: watcher.username, sentinelPassword: watcher.password }
  }
  const [node] = nodes
  if (node !== undefined) {
    return {
      ...common,
      kind: 'cluster',
      addresses: nodes.map(({ address }) => address),
      username: common.username ?? node.username,
      password: common.password ?? node.password,
      tls: common.tls || nodes.some(({ tls }) => tls)
    }
  }
  return server === undefined ? undefined : { ...common, kind: 'single', addresses: [server.address] }
}

function readUrls (variable: string, items: string[], faults: string[]): RedisUrl[] {
  const example = variable === 'REDIS_URL' ? 'redis://127.0.0.1:6379' : '127.0.0.1:6379'
  return items.flatMap((item) => {
    const url = readRedisUrl(item)
    if (url === undefined) faults.push(`${variable} has ${withoutPassword(item)}, which is not an address such as ${example}`)
    return url ?? []
  })
}
