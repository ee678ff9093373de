import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ports that systems give to outgoing connections: one of those, even a client's own retry, could take it while its server is down. */
const FIRST = 10_000
const LAST = 31_999

/** Given out before: who asked for one may not listen on it yet. */
const given = new Set<number>()

/** A port of 127.0.0.1 that nobody listens on now, for programs that cannot take one by themselves. */
export async function findFreePort (): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1))
    if (given.has(port)) continue
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)]).catch(() => false)
    if (!isFree) continue
    given.add(port)
    server.close()
    await once(server, 'close')
    return port
  }
}
