import { setTimeout as sleep } from 'node:timers/promises'
import { connectMasters } from './connect.ts'
import { Masters } from './masters.ts'
import { type OnEvent, OperatorLog } from './operator-log.ts'
import { type Argument, codeOf, repeatabilityOf, RequestFailed } from './request.ts'
import { RETRY_MS, Router } from './router.ts'
import type { Script } from './script.ts'
import type { RedisSettings } from './settings.ts'

export interface RedisServersOptions {
  settings: RedisSettings
  /** Called when a connection is lost or made again, and when Redis should be configured differently. */
  onEvent: OnEvent
}

/** Receives the messages of the subscribed channels. */
export interface ChannelListener {
  onMessage: (channel: Buffer, message: Buffer) => void
  /** Called when channels were subscribed again. Messages published in between are lost. */
  onInterrupted: (channels: string[]) => void
}

/**
 * The Redis servers behind the service: one, the master that sentinels name, or the masters of a cluster. Requests and
 * subscriptions go to the server that owns their key.
 *
 * Requests for one slot reach Redis in the order of the calls, also when connections are lost and slots move. Each is
 * retried for `COMMAND_TIMEOUT_MS`, and again after a lost reply if it is `Repeatable`.
 */
export class RedisServers {
  /** `SPUBLISH` in a cluster, where a channel belongs to its slot. */
  readonly publishCommand: string
  readonly #settings: RedisSettings
  readonly #masters: Masters
  readonly #router: Router
  readonly #log: OperatorLog
  #listener: ChannelListener = { onMessage: () => {}, onInterrupted: () => {} }
  #closed = false

  private constructor ({ settings, onEvent }: RedisServersOptions) {
    this.publishCommand = settings.kind === 'cluster' ? 'SPUBLISH' : 'PUBLISH'
    this.#settings = settings
    this.#log = new OperatorLog(onEvent)
    this.#masters = new Masters({
      settings,
      publishCommand: this.publishCommand,
      onMessage: (channel, message) => { this.#listener.onMessage(channel, message) },
      onInterrupted: (channels) => { this.#listener.onInterrupted(channels) },
      onReady: (requester, info) => { this.#log.ready(requester, info) },
      onLost: (requester) => {
        if (this.#closed) return
        this.#log.lost(requester)
        if (this.#log.started) void this.#masters.refreshMap()
      },
      onRefused: (requester, request, error) => { this.#router.refused(requester, request, error) },
      onRejected: (requester, error) => { this.#log.rejected(requester, error) },
      onOrphaned: (requests) => { for (const request of requests) this.#router.dispatch(request) },
      onMapError: (error) => { this.#log.mapFailed(error) }
    })
    this.#router = new Router(this.#masters)
  }

  /** Connects. Rejects with a message for the operator when the first attempt fails. */
  static async connect (options: RedisServersOptions): Promise<RedisServers> {
    const servers = new RedisServers(options)
    try {
      await connectMasters(servers.#masters, servers.#settings)
    } catch (error) {
      servers.close()
      throw error
    }
    servers.#log.started = true
    return servers
  }

  /** Whether every server has given a sign of life lately, on all connections. */
  get reachable (): boolean {
    return this.#masters.reachable
  }

  /** Number of connections that answered and delivered no messages, and were replaced. */
  get probeFailures (): number {
    return this.#masters.probeFailures
  }

  /** Sets the receiver of messages. Set it before the first `subscribe`. */
  listen (listener: ChannelListener): void {
    this.#listener = listener
  }

  /** Sends a command about a key; rejects with `RequestFailed`. A value of another type under the key is removed first. */
  async command (key: string, command: string, ...args: Argument[]): Promise<unknown> {
    const call = { key, runIdAt: -1, binary: false, repeatable: repeatabilityOf(command) }
    try {
      return await this.#router.send({ ...call, command, args: [...args] })
    } catch (error) {
      if (!(error instanceof RequestFailed) || !(error.cause instanceof Error) || codeOf(error.cause) !== 'WRONGTYPE') throw error
      await this.#router.send({ ...call, command: 'del', args: [key] })
      return await this.#router.send({ ...call, command, args })
    }
  }

  /**
   * Runs a script; rejects with `RequestFailed`. The script gets the server's run ID as its first argument.
   *
   * @param keys keys of one slot
   * @param binary whether the reply holds bytes instead of text
   */
  runScript (script: Script, keys: [string, ...string[]], args: Argument[], binary = false): Promise<unknown> {
    const evalArgs = [script.sha, keys.length, ...keys, '', ...args]
    const { repeatable } = script
    return this.#router.send({ key: keys[0], command: 'evalsha', args: evalArgs, runIdAt: 2 + keys.length, binary, repeatable })
  }

  /** Subscribes a channel; resolves when the subscription is confirmed. */
  async subscribe (channel: string): Promise<void> {
    while (!this.#closed) {
      const server = this.#masters.ownerOf(this.#masters.slotOf(channel))
      if (server !== undefined) {
        await server.subscriber.add(channel)
        return
      }
      await this.#masters.refreshMap()
      await sleep(RETRY_MS)
    }
  }

  /** Resolves when the earlier messages of a subscribed channel are received, lost or late. */
  async caughtUp (channel: string): Promise<void> {
    await this.#masters.ownerOf(this.#masters.slotOf(channel))?.subscriber.caughtUp()
  }

  unsubscribe (channel: string): void {
    for (const [, { subscriber }] of this.#masters) subscriber.remove(channel)
  }

  close (): void {
    this.#closed = true
    this.#router.close()
    this.#masters.close()
  }
}
