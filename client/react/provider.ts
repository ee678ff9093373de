'use client'
import { createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from 'react'
import type { Client, ConnectOptions } from '../index.ts'
import { type Connection, type ConnectionSource, ConnectionStore, NO_CONNECTION } from './connection.ts'

/** A client, whatever its payloads are. */
type AnyClient = Omit<Client, 'room'> & { room: (name: string) => unknown }

/** The options of a connection of its own, or a client that somebody else closes. */
export type RoomcastProviderProps = { children?: ReactNode } & (
  | ({ client?: undefined } & ConnectOptions)
  | { client: AnyClient }
)

const ConnectionContext = createContext<ConnectionStore | undefined>(undefined)

/**
 * One connection for all that is in it. Another `url` is another connection; another `token` is not: the latest is taken,
 * or asked, when a token is needed. The other options are read once for each connection.
 */
export function RoomcastProvider ({ children, ...props }: RoomcastProviderProps): ReactElement {
  const { client, url, token } = props as { client?: AnyClient } & Partial<ConnectOptions>
  const store = useMemo(() => new ConnectionStore(client === undefined ? props as ConnectOptions : { client } as ConnectionSource), [client, url])
  useEffect(() => { store.renew(token) }, [store, token])
  useEffect(() => store.subscribe(() => {}), [store]) // It is there as long as the provider is.
  return createElement(ConnectionContext.Provider, { value: store }, children)
}

/** The store of the provider around it. */
export function useConnectionStore (): ConnectionStore {
  const store = useContext(ConnectionContext)
  if (store === undefined) throw new Error('There is no RoomcastProvider around this component')
  return store
}

/** The client of the provider around it, and how it stands. */
export function useStoredConnection (): Connection {
  const store = useConnectionStore()
  return useSyncExternalStore(store.subscribe, store.getSnapshot, () => NO_CONNECTION)
}
