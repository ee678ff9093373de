import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { RedisProgram } from './debian.ts'
import { RedisServer } from './redis-server.ts'
import { PATIENCE_MS } from './until.ts'

const NAME = 'rooms'

/** A master, a replica, and three sentinels that watch them. */
export class RedisSentinels {
  readonly name = NAME
  readonly servers: RedisServer[]
  readonly sentinels: RedisServer[]

  private constructor (servers: RedisServer[], sentinels: RedisServer[]) {
    this.servers = servers
    this.sentinels = sentinels
  }

  static async start (t: Test, program: RedisProgram): Promise<RedisSentinels> {
    const master = await RedisServer.start(t, program)
    const replica = await RedisServer.start(t, program, `--replicaof 127.0.0.1 ${master.port}`)
    const folder = await mkdtemp(join(tmpdir(), 'roomcast-sentinel-'))
    t.teardown(async () => { await rm(folder, { recursive: true, force: true }) })
    const sentinels = await Promise.all([1, 2, 3].map(async (number) => {
      const file = join(folder, `${number}.conf`) // Sentinels write down there what they learn.
      await writeFile(file, [
        `sentinel monitor ${NAME} 127.0.0.1 ${master.port} 2`,
        `sentinel down-after-milliseconds ${NAME} 1000`,
        `sentinel failover-timeout ${NAME} 5000`
      ].join('\n'))
      return await RedisServer.start(t, program, file, '--sentinel')
    }))
    const all = new RedisSentinels([master, replica], sentinels)
    await all.#until(async () => {
      const known = await Promise.all(sentinels.map(async (sentinel) => String(await sentinel.command('info', 'sentinel'))))
      return known.every((info) => info.includes('slaves=1,sentinels=3'))
    }, 'the sentinels to know each other')
    return all
  }

  /** For `REDIS_SENTINELS`. */
  get seeds (): string {
    return this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')
  }

  /** The server that the sentinels call the master. */
  async master (): Promise<RedisServer> {
    const [, port] = await this.sentinels[0]?.command('sentinel', 'get-master-addr-by-name', NAME) as [string, string]
    return this.servers.find((server) => server.port === Number(port)) as RedisServer
  }

  /** Kills the master; resolves with it when the sentinels name another one. */
  async failOver (): Promise<RedisServer> {
    const old = await this.master()
    await old.kill()
    await this.#until(async () => await this.master() !== old, 'the sentinels to name another master')
    return old
  }

  async #until (condition: () => Promise<boolean>, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (!await condition()) {
      if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
      await sleep(50)
    }
  }
}
