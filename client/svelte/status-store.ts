import type { Status } from '../index.ts'
import type { AnyClient } from '../stores/client-source.ts'
import { StatusStore } from '../stores/status-store.ts'
import { type Readable, readable } from './readable.ts'

/** A store of the status of a client's connection; `connecting` without a client. */
export function statusStore (client: AnyClient | undefined): Readable<Status> {
  return readable(new StatusStore(client), ({ status }) => status)
}
