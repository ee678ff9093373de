/** The name of this page, and whether it holds the lock of that name. */
export interface PageLock {
  page: string
  isLocked: boolean
}

let lock: Promise<PageLock> | undefined

/**
 * Takes a lock (Web Locks) that the browser releases when the page is gone, so that the worker learns of it. Insecure pages
 * have no locks.
 */
export async function lockPage (): Promise<PageLock> {
  lock ??= new Promise((resolve) => {
    const page = `roomcast-${Array.from(crypto.getRandomValues(new Uint32Array(4)), String).join('-')}`
    const locks = navigator.locks as LockManager | undefined
    if (locks === undefined) resolve({ page, isLocked: false })
    else {
      locks.request(page, async () => {
        resolve({ page, isLocked: true })
        await new Promise(() => {}) // As long as the page exists.
      }).catch(() => { resolve({ page, isLocked: false }) })
    }
  })
  return await lock
}
