'use client'
import { useMemo, useSyncExternalStore } from 'react'
import { NO_ROOM, type RoomActions, type RoomOptions, type RoomSnapshot, RoomStore } from '../stores/room-store.ts'
import { useConnectionStore } from './provider.ts'

/** The options of `useRoom`. */
export interface UseRoomOptions extends RoomOptions {}

/** A room and its functions, which stay the same as long as the room and the options are the same. */
export interface UseRoom<Data> extends RoomSnapshot<Data>, RoomActions<Data> {}

/**
 * The messages of a room. The client stays a member as long as a component uses the room. A new name begins without messages;
 * without a name (`null`) the state is `idle`. `Data` is the type of the payloads, or `Events<{ … }>`.
 */
export function useRoom<Data = unknown> (room: string | null | undefined, { history, limit }: UseRoomOptions = {}): UseRoom<Data> {
  const connection = useConnectionStore()
  const store = useMemo(() => new RoomStore<Data>(connection, room, { history, limit }), [connection, room, history, limit])
  const snapshot = useSyncExternalStore<RoomSnapshot<Data>>(store.subscribe, store.getSnapshot, () => NO_ROOM)
  return useMemo(() => ({ ...snapshot, send: store.send, loadOlder: store.loadOlder }), [snapshot, store])
}
