#!/usr/bin/env node
import { createRequire } from 'node:module'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { type Config, InvalidConfig, readConfig } from './config.ts'
import { buildStandalone } from './standalone.ts'

// By the name of the package: its files are in src/ and in dist/src/.
const { version } = createRequire(import.meta.url)('roomcast/package.json') as { version: string }

/** The development token lasts a day. */
const DEVELOPMENT_TOKEN_SECONDS = 86_400
/** What it may do: everything, so that all of the documentation can be tried. */
const DEVELOPMENT_GRANTS = { '**': ['*'], '@all': ['*'], '@user:*': ['*'] }

try {
  const config = readConfig(undefined, { standalone: true })
  const app = buildStandalone(config)
  await app.ready() // Until here there is nothing that a signal could not simply end.
  closeWithGrace({ delay: config.DRAIN_DEADLINE_MS, logger: false }, async ({ err }) => {
    if (err !== undefined) app.log.fatal({ err }, 'uncaught error')
    await app.roomcast.shutdown.drain()
    await app.close()
  })
  await app.listen({ host: config.HOST, port: config.PORT })
  greet(app, config)
} catch (error) {
  // One line: what an operator can do something about needs no stack trace.
  const { message, code } = error as NodeJS.ErrnoException
  console.error(error instanceof InvalidConfig || code !== undefined ? `roomcast: ${message}` : error)
  process.exit(1)
}

/** Says where the service is and, in development, how to try it. In one piece, for programs that wait for it. */
function greet (app: FastifyInstance, config: Config): void {
  const { port } = app.server.address() as { port: number }
  const host = config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST
  const url = `${config.tls === undefined ? 'http' : 'https'}://${host}:${port}`
  const introduction = config.ephemeralSecret ? introduce(app, url) : ''
  console.log(`Roomcast ${version} listens on ${url} (documentation: ${url}/docs)${introduction}`)
}

/** What `@fastify/jwt` makes for the secret. */
interface Signing {
  jwt: { roomcast_secret: { sign: (claims: object) => string } }
}

function introduce (app: FastifyInstance, url: string): string {
  const { sign } = (app.roomcast as unknown as Signing).jwt.roomcast_secret
  const token = sign({ sub: 'dev', exp: Math.floor(Date.now() / 1_000) + DEVELOPMENT_TOKEN_SECONDS, rooms: DEVELOPMENT_GRANTS })
  return `

No JWT_SECRET or JWT_PUBLIC_KEY is set, so a temporary secret was generated; it is valid until this process exits.
Development token (user "dev", one day):
${token}

Listen, in a browser's console:
const ws = new WebSocket('${url.replace('http', 'ws')}/ws?room=lobby&token=${token}')
ws.onmessage = (event) => console.log(event.data)

Post a message, in a shell:
curl -X POST ${url}/v1/rooms/lobby/messages -H 'Authorization: Bearer ${token}' -H 'Content-Type: application/json' -d '{"text":"hello"}'
`
}
