import { RedisBroker } from '../../src/broker/redis.ts'
import type { RedisSettings } from '../../src/redis/settings.ts'
import { connectToRedis, makePrefix } from '../support/redis-connection.ts'
import type { BrokerOptions } from './conformance.ts'
import { historyOf } from './history-of.ts'

export interface RedisBrokerSetup extends Partial<BrokerOptions> {
  settings: RedisSettings
  prefix?: string
}

/** A broker with a separate connection, which ends with the broker. */
export class ConnectedBroker extends RedisBroker {
  readonly #disconnect: () => void

  private constructor (options: ConstructorParameters<typeof RedisBroker>[0]) {
    super(options)
    this.#disconnect = () => { options.redis.close() }
  }

  static async connect ({ settings, prefix = makePrefix(), ...options }: RedisBrokerSetup): Promise<ConnectedBroker> {
    const redis = await connectToRedis(settings, prefix)
    const broker = new ConnectedBroker({ redis, historyOf: historyOf(), onError: () => {}, ...options })
    await redis.instances.start()
    return broker
  }

  override async close (): Promise<void> {
    await super.close()
    this.#disconnect()
  }
}
