import type { Http2Session } from 'node:http2'
import fp from 'fastify-plugin'

/**
 * Closes the HTTP/2 sessions when the application closes, after the streams in progress. The server waits for each session,
 * and Node 20 leaves an idle one open until it times out.
 */
export default fp(async (app) => {
  const sessions = new Set<Http2Session>()
  let closing = false
  app.server.on('session', (session: Http2Session) => {
    sessions.add(session)
    session.once('close', () => { sessions.delete(session) })
    if (closing) session.close()
  })
  app.addHook('preClose', async () => {
    closing = true
    for (const session of sessions) session.close()
  })
}, { name: 'roomcast-http2-sessions', dependencies: ['roomcast-shutdown'] })
