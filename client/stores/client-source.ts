import type { Client } from '../index.ts'

/** A client, whatever its payloads are. */
export type AnyClient = Omit<Client, 'room'> & { room: (name: string) => unknown }

/** A client that may be replaced by another one. */
export interface ClientSource {
  readonly client: Client | undefined
  /** Calls a listener when the client may be another one; returns a function that stops this. */
  readonly subscribe: (listener: () => void) => () => void
}

/** A client that stays. */
export function always (client: AnyClient | undefined): ClientSource {
  return { client: client as Client | undefined, subscribe: () => () => {} } // The caller has the types of the payloads.
}
