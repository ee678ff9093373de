import { setTimeout as sleep } from 'node:timers/promises'
import type { Masters } from './masters.ts'
import { COMMAND_TIMEOUT_MS } from './request.ts'
import type { Master } from './master.ts'
import { nameOf, type RedisSettings } from './settings.ts'

/** Time for both connections to a server, ms. */
const CONNECT_MS = 2 * COMMAND_TIMEOUT_MS
/** Time between two looks at a connection that is being made, ms. */
const LOOK_MS = 5

/** The setting that has the addresses. */
const SETTING: Readonly<Record<RedisSettings['kind'], string>> = {
  single: 'REDIS_URL',
  sentinel: 'REDIS_SENTINELS',
  cluster: 'REDIS_CLUSTER'
}

/** Makes the first connections. Rejects with a message for the operator when the first attempt fails. */
export async function connectMasters (masters: Masters, settings: RedisSettings): Promise<void> {
  if (settings.kind === 'cluster') {
    await connectCluster(masters, settings)
    return
  }
  const server = masters.addOnly()
  await firstConnection(server, describe(settings))
  if (server.requester.info?.cluster === true) throw unusable(describe(settings), 'it is a node of a cluster: REDIS_CLUSTER says so')
}

/** Connects to the first seed that works, and from there to all masters. */
async function connectCluster (masters: Masters, { addresses: seeds }: RedisSettings): Promise<void> {
  let failure: unknown
  for (const seed of seeds) {
    const name = nameOf(seed)
    const where = `${name} (${SETTING.cluster})`
    try {
      const server = masters.add(name, seed)
      await firstConnection(server, where)
      if (server.requester.info?.cluster !== true) throw unusable(where, 'it is not a node of a cluster')
      await masters.refreshMap()
      if (!masters.known) throw unusable(where, 'the cluster does not serve all slots')
      await Promise.all([...masters].map(async ([name, server]) => { await firstConnection(server, `${name} (${SETTING.cluster})`) }))
      return
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/** Resolves when both connections are ready; rejects when the first attempt fails. */
async function firstConnection (server: Master, where: string): Promise<void> {
  const deadline = Date.now() + CONNECT_MS
  while (!server.usable) {
    const { lastError } = server.requester
    if (lastError !== undefined) throw unusable(where, lastError.message)
    if (Date.now() > deadline) throw unusable(where, 'it does not answer')
    await sleep(LOOK_MS)
  }
}

/** Names the Redis of some settings, for messages. */
export function describe ({ kind, addresses, name }: RedisSettings): string {
  const list = addresses.map(nameOf).join(', ')
  return kind === 'sentinel' ? `${list} (${SETTING[kind]}, master ${name})` : `${list} (${SETTING[kind]})`
}

/** Makes the error that ends the start: its code lets the process print one line. */
export function unusable (where: string, why: string): Error {
  return Object.assign(new Error(`Redis at ${where} cannot be used: ${why}`), { code: 'redis_unusable' })
}
