'use client'
import { useMemo } from 'react'
import type { Client, Status } from '../index.ts'
import { useStoredConnection } from './provider.ts'

/** How the provider's connection stands, and the client itself: undefined until the page is there. */
export function useConnection (): Status & { readonly client: Client | undefined } {
  const { status, client } = useStoredConnection()
  return useMemo(() => ({ ...status, client }), [status, client])
}
