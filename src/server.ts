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

/** The settings that limit something. */
const LIMIT = /^MAX_|_RATE$|_BURST$|_PER_MINUTE$/

try {
  const config = readConfig(undefined, { standalone: true })
  const app = buildStandalone(config)
  await app.ready() // Until here there is nothing that a signal could not simply end.
  closeWithGrace({ delay: config.DRAIN_DEADLINE_MS, logger: false }, async ({ err }) => {
    if (err !== undefined) app.log.fatal({ err }, 'uncaught error')
    await app.roomcast.shutdown.drain()
    await app.close()
  })
  await listen(app, config)
  const { port } = app.server.address() as { port: number }
  const host = config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST
  const url = `${config.tls === undefined ? 'http' : 'https'}://${host}:${port}`
  if (!config.production) greet(app, config, url)
  app.log.info(summarise(config), `Roomcast ${version} listens on ${url}`)
} catch (error) {
  // One line: what an operator can do something about needs no stack trace.
  const { message, code } = error as NodeJS.ErrnoException
  console.error(error instanceof InvalidConfig || code !== undefined ? `roomcast: ${message}` : error)
  process.exit(1)
}

/** Listens on the address of the settings. The error names the setting to change. */
async function listen (app: FastifyInstance, { HOST, PORT }: Config): Promise<void> {
  try {
    await app.listen({ host: HOST, port: PORT })
  } catch (error) {
    const { message, code = '' } = error as NodeJS.ErrnoException
    const advice = ['EADDRINUSE', 'EACCES'].includes(code)
      ? `PORT=${PORT} cannot be listened on: stop the other program, or choose another port`
      : `HOST=${HOST} cannot be listened on: choose an address of this machine`
    throw Object.assign(new Error(`${advice} (${message})`), { code })
  }
}

/** The settings that matter most to an operator, without passwords. */
function summarise (config: Config): object {
  const { redis, allowedOrigins } = config
  const limits = Object.entries(config).filter(([name]) => LIMIT.test(name))
  return {
    version,
    broker: redis === undefined ? 'memory' : `redis (${redis.kind})`,
    ...(redis !== undefined && { redis: redis.addresses.map(({ host, port }) => `${host}:${port}`), prefix: config.REDIS_PREFIX }),
    origins: allowedOrigins === '*' ? '*' : [...allowedOrigins],
    limits: Object.fromEntries(limits)
  }
}

/** Prints the address and, without a key, the first steps. In one piece, for programs that wait for it. */
function greet (app: FastifyInstance, config: Config, url: string): void {
  const documentation = config.DOCS ? ` (documentation: ${url}/docs)` : ''
  console.log(`Roomcast ${version} listens on ${url}${documentation}${config.ephemeralSecret ? introduce(app, url) : ''}`)
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
