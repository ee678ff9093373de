'use client'
import { useMemo, useSyncExternalStore } from 'react'
import type { PublishOptions, Published } from '../index.ts'
import { useConnectionStore } from './provider.ts'
import { NO_ROOM, type RoomSnapshot, RoomStore } from './room-store.ts'

/** The options of `useRoom`. */
export interface UseRoomOptions {
  /** The number of earlier messages to load, at most `limit`; 0 by default. Needs the grant `history`. */
  history?: number
  /** The number of messages to keep; 200 by default. */
  limit?: number
}

/** A room, and a function that publishes to it. `send` keeps its identity as long as the room is the same. */
export interface UseRoom<Data> extends RoomSnapshot<Data> {
  readonly send: (data: Data | Uint8Array, options?: PublishOptions) => Promise<Published>
}

/**
 * The messages of a room. The client stays a member as long as a component uses the room. A new name begins without messages;
 * without a name (`null`) the state is `idle`.
 */
export function useRoom<Data = unknown> (
  room: string | null | undefined,
  { history = 0, limit = 200 }: UseRoomOptions = {}
): UseRoom<Data> {
  const connection = useConnectionStore()
  const store = useMemo(() => new RoomStore<Data>(connection, room ?? undefined, history, limit), [connection, room, history, limit])
  const snapshot = useSyncExternalStore<RoomSnapshot<Data>>(store.subscribe, store.getSnapshot, () => NO_ROOM)
  return useMemo(() => ({ ...snapshot, send: store.send }), [snapshot, store])
}
