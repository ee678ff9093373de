import { randomBytes } from 'node:crypto'
import { readConfig } from '../../src/config.ts'
import { connectRedis, type RedisConnection } from '../../src/redis/connection.ts'
import type { RedisSettings } from '../../src/redis/settings.ts'
import { SECRET } from './token.ts'

/** Makes a prefix that no other test uses. */
export function makePrefix (): string {
  return `test-${randomBytes(6).toString('hex')}:`
}

/** Reads the settings of Redis from variables of the environment. */
export function redisSettings (environment: Record<string, string>): RedisSettings {
  const { redis } = readConfig({ JWT_SECRET: SECRET, ...environment })
  if (redis === undefined) throw new Error('there are no settings of Redis')
  return redis
}

/** Connects as the service does. The caller adds its state, starts `instances`, and closes. */
export async function connectToRedis (settings: RedisSettings, prefix: string): Promise<RedisConnection> {
  return await connectRedis({ settings, prefix, policies: '', onEvent: () => {} })
}
