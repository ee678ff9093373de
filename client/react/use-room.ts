'use client'
import { useMemo, useSyncExternalStore } from 'react'
import type { PublishOptions, Published } from '../index.ts'
import { useConnectionStore } from './provider.ts'
import { NO_ROOM, type RoomSnapshot, RoomStore } from './room-store.ts'

export interface UseRoomOptions {
  /** How many of the messages from before are loaded, up to `limit`; none unless given. Needs the grant `history`. */
  history?: number
  /** How many messages are kept; 200 unless given. */
  limit?: number
}

/** A room, and how to publish to it: `send` has the same identity as long as the room is the same. */
export interface UseRoom<Data> extends RoomSnapshot<Data> {
  readonly send: (data: Data | Uint8Array, options?: PublishOptions) => Promise<Published>
}

/**
 * The messages of a room, which is joined as long as a component uses it. Another room begins empty; none (`null`) is `idle`.
 */
export function useRoom<Data = unknown> (room: string | null | undefined, { history = 0, limit = 200 }: UseRoomOptions = {}): UseRoom<Data> {
  const connection = useConnectionStore()
  const store = useMemo(() => new RoomStore<Data>(connection, room ?? undefined, history, limit), [connection, room, history, limit])
  const snapshot = useSyncExternalStore<RoomSnapshot<Data>>(store.subscribe, store.getSnapshot, () => NO_ROOM)
  return useMemo(() => ({ ...snapshot, send: store.send }), [snapshot, store])
}
