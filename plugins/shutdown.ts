import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { goingDown } from '../src/errors.ts'
import { events } from '../src/events/index.ts'
import { drain, type Shutdown } from '../src/hub/drain.ts'
import { toProblem, writeProblem } from '../src/problem.ts'
import { CLOSE_TIMEOUT_MS } from '../src/transport/ws-internals.ts'

declare module 'fastify' {
  interface FastifyInstance {
    shutdown: Shutdown
  }
}

/** Time after the window before connections and requests that are still open are destroyed, ms. */
const DRAIN_GRACE_MS = 5_000

/**
 * `fastify.shutdown`: graceful shutdown. The application's `close()` alone does the same without delay and window;
 * it always resolves.
 */
export default fp(async (app) => {
  const { config, hub, httpConnections, memberships, pendingUpgrades } = app
  let leaving = false
  let draining = false
  let destroyed = 0
  let deadline: NodeJS.Timeout | undefined

  const begin = (windowMs: number): void => {
    if (draining) return
    deadline = setTimeout(() => { httpConnections.destroy() }, windowMs + DRAIN_GRACE_MS)
    leaving = true
    draining = true
    memberships.stopAnnouncing()
    if (events.drainBegan.wanted) events.drainBegan.publish({ instance: hub.instance, connections: hub.connections.size })
  }

  app.decorate('shutdown', {
    get leaving () { return leaving },
    get draining () { return draining },
    async drain () {
      leaving = true
      await sleep(config.DRAIN_DELAY_MS)
      begin(config.DRAIN_WINDOW_MS)
      destroyed += await drain(hub, config.DRAIN_WINDOW_MS, DRAIN_GRACE_MS)
    }
  })

  // A keep-alive connection whose request is answered now would hold up close() until it times out.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (draining) void reply.header('connection', 'close')
    done(null, payload)
  })

  app.addHook('preClose', async () => {
    begin(0)
    pendingUpgrades.close()
    httpConnections.endIdle()
    // From here on Fastify answers every upgrade with a 503 and does not end its socket.
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
    destroyed += await drain(hub, 0, CLOSE_TIMEOUT_MS)
    if (events.drainEnded.wanted) events.drainEnded.publish({ instance: hub.instance, connections: destroyed })
  })
  app.addHook('onClose', async () => { clearTimeout(deadline) })
}, {
  name: 'roomcast-shutdown',
  dependencies: ['roomcast-config', 'roomcast-hub', 'roomcast-http-connections', 'roomcast-memberships', 'roomcast-pending-upgrades']
})
