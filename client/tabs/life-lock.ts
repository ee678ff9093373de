/** A lock (Web Locks) that a page or a worker holds as long as it exists. */
export interface LifeLock {
  /** Unique. */
  life: string
  /** False where there are no locks, such as on insecure pages. */
  isLocked: boolean
}

let lock: Promise<LifeLock> | undefined

/** Takes the lock of this page or this worker. The browser releases it at its end, however it ends. */
export async function lockLife (): Promise<LifeLock> {
  lock ??= new Promise((resolve) => {
    const life = `roomcast-${Array.from(crypto.getRandomValues(new Uint32Array(4)), String).join('-')}`
    const held = getLocks()?.request(life, async () => {
      resolve({ life, isLocked: true })
      await new Promise(() => {})
    })
    const fail = (): void => { resolve({ life, isLocked: false }) }
    if (held === undefined) fail()
    else held.catch(fail)
  })
  return await lock
}

/** Reports the end of another page or worker; returns a function that stops this. */
export function onLifeEnd ({ life, isLocked }: LifeLock, listener: () => void): () => void {
  const stop = new AbortController()
  // Shared, because several tabs wait for the end of one worker.
  if (isLocked) getLocks()?.request(life, { mode: 'shared', signal: stop.signal }, listener).catch(() => {})
  return () => { stop.abort() }
}

function getLocks (): LockManager | undefined {
  return navigator.locks as LockManager | undefined
}
