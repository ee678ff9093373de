'use client'
import { createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from 'react'
import type { Client, ConnectOptions } from '../index.ts'
import { type Connection, ConnectionStore, NO_CONNECTION } from './connection.ts'

/** The options of a connection of its own, or a client that somebody else closes. */
export type RoomcastProviderProps = { children?: ReactNode } & (
  | ({ client?: undefined } & ConnectOptions)
  | { client: Client<any> } // eslint-disable-line @typescript-eslint/no-explicit-any -- whatever its payloads are
)

const ConnectionContext = createContext<ConnectionStore | undefined>(undefined)

/**
 * One connection for all that is in it. Another `url` is another connection; another `token` function is not: the
 * latest is asked when a token is needed. The other options are read once.
 */
export function RoomcastProvider ({ children, ...props }: RoomcastProviderProps): ReactElement {
  const { client } = props
  const url = client === undefined ? (props as ConnectOptions).url : undefined
  const latest = useRef(props)
  useEffect(() => { latest.current = props })
  const store = useMemo(() => new ConnectionStore(client, () => {
    const { client: _, token, ...options } = latest.current as ConnectOptions & { client?: undefined }
    return {
      ...options,
      url: url as string,
      token: typeof token === 'string' ? token : async () => await (latest.current as unknown as { token: () => string | Promise<string> }).token()
    }
  }), [client, url])
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
