import { computed, type ComputedRef, shallowRef, watchPostEffect } from 'vue'
import type { Store } from '../stores/store.ts'

/** The snapshot of a store, which runs as long as the scope does. On a server the store does not run. */
export function useSnapshot<Snapshot extends object> (store: ComputedRef<Store<Snapshot>>): ComputedRef<Snapshot> {
  const changes = shallowRef(0)
  watchPostEffect((onCleanup) => { onCleanup(store.value.subscribe(() => { changes.value++ })) })
  return computed(() => {
    void changes.value // The snapshot is another one after a change.
    return store.value.getSnapshot()
  })
}
