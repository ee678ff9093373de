import { setTimeout as sleep } from 'node:timers/promises'
import calculateSlot from 'cluster-key-slot'
import type { Test } from 'tap'
import type { RedisProgram } from './debian.ts'
import { RedisServer } from './redis-server.ts'
import { PATIENCE_MS } from './until.ts'

const SLOTS = 16_384

/** A Redis Cluster of plain processes: masters with a replica each. */
export class RedisCluster {
  readonly nodes: RedisServer[]

  private constructor (nodes: RedisServer[]) {
    this.nodes = nodes
  }

  static async start (t: Test, program: RedisProgram, { masters = 3, replicas = 1 } = {}): Promise<RedisCluster> {
    const nodes = await Promise.all(Array.from({ length: masters * (1 + replicas) }, async () =>
      await RedisServer.start(t, program, '--cluster-enabled yes', '--cluster-node-timeout 1000')))
    const cluster = new RedisCluster(nodes)
    const first = nodes[0] as RedisServer
    for (const node of nodes) {
      const busPort = /:(\d+)@(\d+)/.exec(String(await node.command('cluster', 'nodes')))?.[2] as string
      await first.command('cluster', 'meet', '127.0.0.1', node.port, busPort)
    }
    for (let i = 0; i < masters; i++) {
      await nodes[i]?.command('cluster', 'addslotsrange', Math.ceil(i * SLOTS / masters), Math.ceil((i + 1) * SLOTS / masters) - 1)
    }
    await cluster.until(
      async () =>
        (await Promise.all(nodes.map(async (node) => await cluster.#table(node)))).every(
          (table) => table.length === nodes.length && table.every(({ connected }) => connected)
        ),
      'the nodes to meet'
    )
    for (let i = 0; i < masters * replicas; i++) {
      const id = String(await nodes[i % masters]?.command('cluster', 'myid'))
      await nodes[masters + i]?.command('cluster', 'replicate', id)
    }
    await cluster.settled()
    return cluster
  }

  /** For `REDIS_CLUSTER`. */
  get seeds (): string {
    return this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')
  }

  /** Resolves when the nodes that are up agree, serve all slots, and replicas are connected. */
  async settled (): Promise<void> {
    await this.until(async () => {
      const infos = await Promise.all(
        this.nodes.map(
          async (node) => [String(await node.command('cluster', 'info')), String(await node.command('info', 'replication'))] as const
        )
      )
      return infos.every(
        ([cluster, replication]) =>
          cluster.includes('cluster_state:ok') && (replication.includes('role:master') || replication.includes('master_link_status:up'))
      )
    }, 'the cluster to settle')
  }

  /** The node that serves a key, as another one sees it. */
  async masterOf (key: string, except?: RedisServer): Promise<RedisServer> {
    const slot = calculateSlot(key)
    const table = await this.#table(this.nodes.find((node) => node !== except) as RedisServer)
    const owner = table.find(({ slots, failed }) => !failed && slots.some(([first, last]) => first <= slot && slot <= last))
    return this.nodes.find(({ port }) => port === owner?.port) as RedisServer
  }

  /** Kills the node that serves a key; resolves with it when another one does. */
  async failOver (key: string): Promise<RedisServer> {
    const master = await this.masterOf(key)
    await master.kill()
    await this.until(async () => {
      const owner = await this.masterOf(key, master) as RedisServer | undefined
      return owner !== undefined && owner !== master
    }, 'a replica to take over')
    return master
  }

  /** Has the replica of a key's master take over from it, which loses nothing. */
  async handOver (key: string): Promise<void> {
    const master = await this.masterOf(key)
    const [replica = ''] = await master.command('cluster', 'replicas', String(await master.command('cluster', 'myid'))) as string[]
    await this.nodes.find(({ port }) => port === Number(/:(\d+)@/.exec(replica)?.[1]))?.command('cluster', 'failover')
    await this.until(async () => await this.masterOf(key, master) !== master, 'the replica to take over')
  }

  /** Moves a key's slot to another master, with what is in it. */
  async moveSlot (key: string): Promise<void> {
    const slot = calculateSlot(key)
    const from = await this.masterOf(key)
    const to = this.nodes.find((node) => node !== from) as RedisServer
    const [fromId, toId] = await Promise.all([from, to].map(async (node) => String(await node.command('cluster', 'myid'))))
    await to.command('cluster', 'setslot', slot, 'importing', fromId as string)
    await from.command('cluster', 'setslot', slot, 'migrating', toId as string)
    for (;;) {
      const keys = await from.command('cluster', 'getkeysinslot', slot, 100) as string[]
      if (keys.length === 0) break
      await from.command('migrate', '127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...keys)
    }
    for (const node of [to, from, ...this.nodes]) await node.command('cluster', 'setslot', slot, 'node', toId as string)
  }

  async until (condition: () => Promise<boolean>, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (!await condition()) {
      if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
      await sleep(50)
    }
  }

  async #table (node: RedisServer): Promise<{ port: number, slots: [number, number][], failed: boolean, connected: boolean }[]> {
    const lines = String(await node.command('cluster', 'nodes')).trim().split('\n')
    return lines.map((line) => {
      const [, address = '', flags = '', , , , , link, ...slots] = line.split(' ')
      return {
        port: Number(/:(\d+)@/.exec(address)?.[1]),
        slots: slots.filter((range) => /^\d/.test(range)).map((range) => {
          const [first, last = first] = range.split('-')
          return [Number(first), Number(last)]
        }),
        failed: /fail/.test(flags),
        connected: link === 'connected'
      }
    })
  }
}
