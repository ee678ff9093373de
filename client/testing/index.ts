import { Twin, type TwinOptions } from './twin.ts'

export type { Content } from '../publisher/content.ts'
export type { Duration } from './duration.ts'
export type { Action, RequestFrame } from './service.ts'
export type { RefuseOptions, Twin, TwinConnectOptions, TwinOptions, TwinPublished, TwinRoom } from './twin.ts'

/** Starts an in-memory service with a fake clock, for the tests of an application. */
export async function twin (options: TwinOptions = {}): Promise<Twin> {
  return new Twin(options)
}
