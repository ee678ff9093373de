'use client'
import { useMemo } from 'react'
import type { Client, Status } from '../index.ts'
import { useStoredConnection } from './provider.ts'

/** The status of the provider's connection, and its client: undefined until the page is mounted. */
export function useConnection (): Status & { readonly client: Client | undefined } {
  const { status, client } = useStoredConnection()
  return useMemo(() => ({ ...status, client }), [status, client])
}
