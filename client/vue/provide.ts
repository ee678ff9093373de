import { inject, type InjectionKey, provide } from 'vue'
import type { Client } from '../index.ts'
import type { AnyClient } from '../stores/client-source.ts'

const CLIENT: InjectionKey<AnyClient> = Symbol('Roomcast')

/** Provides a client to the components below this one. The application closes it. */
export function provideRoomcast (client: AnyClient): void {
  provide(CLIENT, client)
}

/** The client of `provideRoomcast`. Throws an `Error` where no component above this one provides a client. */
export function useRoomcast<Rooms extends object = Record<string, unknown>> (): Client<Rooms> {
  const client = inject(CLIENT, undefined)
  if (client === undefined) throw new Error('No component above this one has called provideRoomcast')
  return client as Client<Rooms> // The application declares the types of its payloads.
}
