import { Publisher, type PublisherOptions } from './publisher.ts'

export { RoomcastError } from '../errors.ts'
export type { TokenProvider } from '../token-source.ts'
export type { Content } from './content.ts'
export type { BatchItem, Published, Publisher, PublisherOptions, PublishOptions } from './publisher.ts'

/**
 * A publisher for backends, over REST. Make one, and keep it: its connections stay open.
 *
 * `Rooms` gives payloads types, by room: `createPublisher<{ lobby: Chat, [orders: `orders:${string}`]: Order }>(…)`.
 */
export function createPublisher<Rooms extends object = Record<string, unknown>> (options: PublisherOptions): Publisher<Rooms> {
  return new Publisher<Rooms>(options)
}
