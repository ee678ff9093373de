import type { Client, DataOf } from '../index.ts'
import { always } from '../stores/client-source.ts'
import { type RoomActions, type RoomOptions, type RoomSnapshot, RoomStore } from '../stores/room-store.ts'
import { type Readable, readable } from './readable.ts'

/** The options of `roomStore`. */
export interface RoomStoreOptions extends RoomOptions {}

/** A readable store of a room's messages and state, and the room's functions. */
export interface RoomReadable<Data> extends Readable<RoomSnapshot<Data>>, RoomActions<Data> {}

/**
 * A store of the messages of a room. The client is a member of the room as long as the store has subscribers. Without a client or
 * a name, the state is `idle`.
 */
export function roomStore<Rooms extends object, Name extends string> (
  client: Client<Rooms> | undefined,
  name: Name | null | undefined,
  options?: RoomStoreOptions
): RoomReadable<DataOf<Rooms, Name>> {
  const store = new RoomStore<DataOf<Rooms, Name>>(always(client), name, options)
  return { ...readable(store, (snapshot) => snapshot), send: store.send, loadOlder: store.loadOlder }
}
