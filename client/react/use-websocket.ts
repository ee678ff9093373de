'use client'
import { useMemo, useSyncExternalStore } from 'react'
import { NO_SOCKET, type SocketSnapshot, SocketStore } from './socket-store.ts'

/** The options of `useWebSocket`. */
export interface UseWebSocketOptions {
  /** Whether messages are received and sent unchanged. By default they are JSON where possible. */
  raw?: boolean
  protocols?: string | string[]
  /** The number of messages to keep; 200 by default. */
  limit?: number
}

/** A WebSocket; `send` returns false without a connection. */
export interface UseWebSocket extends SocketSnapshot {
  readonly send: (data: unknown) => boolean
}

/**
 * A WebSocket to any server. It reconnects after 1 s, then 2 s, up to 30 s; a successful connection or a new URL starts again
 * with 1 s. Without a URL (`null`) there is no connection.
 */
export function useWebSocket (
  url: string | null | undefined,
  { raw = false, protocols = [], limit = 200 }: UseWebSocketOptions = {}
): UseWebSocket {
  const offered = [protocols].flat().join()
  const store = useMemo(
    () => new SocketStore(url ?? undefined, offered === '' ? [] : offered.split(','), raw, limit),
    [url, offered, raw, limit]
  )
  const snapshot = useSyncExternalStore<SocketSnapshot>(store.subscribe, store.getSnapshot, () => NO_SOCKET)
  return useMemo(() => ({ ...snapshot, send: store.send }), [snapshot, store])
}
