import { computed, type ComputedRef, type MaybeRefOrGetter, toRaw, toValue } from 'vue'
import type { Status } from '../index.ts'
import type { AnyClient } from '../stores/client-source.ts'
import { StatusStore } from '../stores/status-store.ts'
import { useSnapshot } from './use-snapshot.ts'

/**
 * The status of a client's connection; `connecting` without a client.
 *
 * @param client the client, in a `shallowRef` or a getter if it changes; undefined on a server
 */
export function useStatus (client: MaybeRefOrGetter<AnyClient | undefined>): ComputedRef<Status> {
  const snapshot = useSnapshot(computed(() => new StatusStore(toRaw(toValue(client)))))
  return computed(() => snapshot.value.status)
}
