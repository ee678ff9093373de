import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { goingDown, toProblem } from '../src/errors.ts'
import { drain } from '../src/hub/drain.ts'
import { writeProblem } from '../src/refusal.ts'
import type { Shutdown } from '../src/shutdown.ts'
import { CLOSE_TIMEOUT_MS } from '../src/upgraded.ts'

declare module 'fastify' {
  interface FastifyInstance {
    shutdown: Shutdown
    /** Sockets that asked for an upgrade and have not got it yet. */
    upgrades: Set<Duplex>
  }
}

/** After the window, clients that have not answered their close frame are destroyed this long after, ms. */
const DRAIN_GRACE_MS = 5_000
/**
 * `fastify.shutdown`: going down without losing anybody. `close()` alone does the same without delay and window;
 * it always comes to an end.
 */
export default fp(async (app) => {
  const { config, hub, rooms } = app
  let leaving = false
  let draining = false

  app.decorate('upgrades', new Set<Duplex>())
  app.decorate('shutdown', {
    get leaving () { return leaving },
    get draining () { return draining },
    async drain () {
      leaving = true
      await sleep(config.DRAIN_DELAY_MS)
      draining = true
      rooms.silent = true
      await drain(hub, config.DRAIN_WINDOW_MS, DRAIN_GRACE_MS)
    }
  })

  // A keep-alive connection whose request is answered now would hold up close() until it times out.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (draining) void reply.header('connection', 'close')
    done(null, payload)
  })

  app.addHook('preClose', async () => {
    leaving = true
    draining = true
    rooms.silent = true
    // From here on Fastify answers upgrades with a 503 on a socket that nobody would end: not to /ws, nor elsewhere.
    const listeners = app.server.listeners('upgrade')
    app.server.removeAllListeners('upgrade')
    app.server.on('upgrade', (request, socket, head) => {
      if (listeners.length === 0 || request.url?.replace(/\?.*$/s, '') === `${app.prefix}/ws`) {
        writeProblem(socket, toProblem(goingDown()))
        return
      }
      for (const listener of listeners) listener.call(app.server, request, socket, head)
      setImmediate(() => { (socket as Socket).destroySoon() })
    })
    for (const socket of app.upgrades) socket.destroy()
    await drain(hub, 0, CLOSE_TIMEOUT_MS)
  })
}, { name: 'roomcast-shutdown', dependencies: ['roomcast-config', 'roomcast-hub', 'roomcast-rooms'] })
