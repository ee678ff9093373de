'use client'
import {
  createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore
} from 'react'
import type { Client, ConnectOptions } from '../index.ts'
import type { AnyClient } from '../stores/client-source.ts'
import { type Connection, ConnectionStore, NO_CONNECTION } from '../stores/connection-store.ts'

/** The options of the provider's own connection, or a client that the application closes. */
export type RoomcastProviderProps = { children?: ReactNode } & (
  | ({ client?: undefined } & ConnectOptions)
  | { client: AnyClient }
)

const ConnectionContext = createContext<ConnectionStore | undefined>(undefined)

/**
 * Provides one connection to the components in it. A new `url` makes a new connection. A new `token` does not: the client uses
 * the latest one when it needs a token. The other options are read once for each connection. With invalid options, the status is
 * `closed`, with the error as its `cause`.
 */
export function RoomcastProvider ({ children, ...props }: RoomcastProviderProps): ReactElement {
  const { client } = props
  const { url, token } = props.client === undefined ? props : {}
  const store = useMemo(() => new ConnectionStore(props.client === undefined ? props : { client: props.client as Client }), [client, url])
  useEffect(() => { store.renew(token) }, [store, token])
  useEffect(() => store.subscribe(() => {}), [store]) // The provider keeps the connection open.
  return createElement(ConnectionContext.Provider, { value: store }, children)
}

/** The store of the provider around a component. */
export function useConnectionStore (): ConnectionStore {
  const store = useContext(ConnectionContext)
  if (store === undefined) throw new Error('There is no RoomcastProvider around this component')
  return store
}

/** The connection of the provider around a component. */
export function useStoredConnection (): Connection {
  const store = useConnectionStore()
  return useSyncExternalStore(store.subscribe, store.getSnapshot, () => NO_CONNECTION)
}
