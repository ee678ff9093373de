'use client'
import { useMemo, useSyncExternalStore } from 'react'
import { NO_SOCKET, type SocketSnapshot, SocketStore } from './socket-store.ts'

export interface UseWebSocketOptions {
  /** Messages are given and sent as they are; otherwise they are JSON, where they can be. */
  raw?: boolean
  protocols?: string | string[]
  /** How many messages are kept; 200 unless given. */
  limit?: number
}

/** A WebSocket; `send` says whether there was a connection to send it on. */
export interface UseWebSocket extends SocketSnapshot {
  readonly send: (data: unknown) => boolean
}

/**
 * A WebSocket to any server. It comes back after 1 s, then 2 s, up to 30 s; a connection that was made, and another URL, begin
 * with 1 s again. No URL (`null`) is no connection.
 */
export function useWebSocket (url: string | null | undefined, { raw = false, protocols = [], limit = 200 }: UseWebSocketOptions = {}): UseWebSocket {
  const offered = [protocols].flat().join()
  const store = useMemo(() => new SocketStore(url ?? undefined, offered === '' ? [] : offered.split(','), raw, limit), [url, offered, raw, limit])
  const snapshot = useSyncExternalStore<SocketSnapshot>(store.subscribe, store.getSnapshot, () => NO_SOCKET)
  return useMemo(() => ({ ...snapshot, send: store.send }), [snapshot, store])
}
