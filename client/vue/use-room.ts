import { computed, type ComputedRef, type MaybeRefOrGetter, toRaw, toValue } from 'vue'
import type { Client, DataOf } from '../index.ts'
import { always } from '../stores/client-source.ts'
import { type RoomActions, type RoomOptions, type RoomSnapshot, RoomStore } from '../stores/room-store.ts'
import { useSnapshot } from './use-snapshot.ts'

/** The options of `useRoom`. */
export interface UseRoomOptions extends RoomOptions {}

/** A room and its functions. */
export type UseRoom<Data> = RoomActions<Data> & { readonly [Name in keyof RoomSnapshot<Data>]: ComputedRef<RoomSnapshot<Data>[Name]> }

/**
 * The messages of a room. The client is a member from the mount of the component to its unmount, or until the end of the effect
 * scope. Another client, name or option begins without messages; without a client or a name the state is `idle`.
 *
 * @param client the client, in a `shallowRef` or a getter if it changes; undefined on a server
 * @param room the name of the room, a ref or a getter
 */
export function useRoom<Rooms extends object, Name extends string> (
  client: MaybeRefOrGetter<Client<Rooms> | undefined>,
  room: MaybeRefOrGetter<Name | null | undefined>,
  options: MaybeRefOrGetter<UseRoomOptions> = {}
): UseRoom<DataOf<Rooms, Name>> {
  // A proxy of a client could not use its private members.
  const store = computed(() => new RoomStore<DataOf<Rooms, Name>>(always(toRaw(toValue(client))), toValue(room), toValue(options)))
  const snapshot = useSnapshot(store)
  return {
    messages: computed(() => snapshot.value.messages),
    state: computed(() => snapshot.value.state),
    recovered: computed(() => snapshot.value.recovered),
    hasOlder: computed(() => snapshot.value.hasOlder),
    error: computed(() => snapshot.value.error),
    send: async (data, options) => await store.value.send(data, options),
    loadOlder: async () => await store.value.loadOlder()
  }
}
