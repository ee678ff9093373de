import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Below the ports that systems give to outgoing connections: one of those, even a client's own retry, could take it while its server is
 * down.
 */
const FIRST = 10_000
/**
 * Each process looks among its own: others that run beside it would not see that a port is spoken for while nobody listens on it.
 */
const PROCESSES = 64
const PORTS_EACH = 340

/** Given out before: who asked for one may not listen on it yet. */
const given = new Set<number>()

/** A port of 127.0.0.1 that nobody listens on now, for programs that cannot take one by themselves. */
export async function findFreePort (): Promise<number> {
  for (;;) {
    const port = FIRST + (process.pid % PROCESSES) * PORTS_EACH + Math.floor(Math.random() * PORTS_EACH)
    if (given.has(port)) continue
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await Promise.race([
      once(server, 'listening').then(() => true),
      once(server, 'error').then(() => false)
    ]).catch(() => false)
    if (!isFree) continue
    given.add(port)
    server.close()
    await once(server, 'close')
    return port
  }
}
