import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { buildStandalone } from '../../src/standalone.ts'
import { makeToken, SECRET } from './token.ts'

/** A service that listens on a free port of 127.0.0.1. */
export interface Service {
  app: FastifyInstance
  /** `http://127.0.0.1:…` */
  url: string
  port: number
  /** Its log, line by line. */
  log: string[]
}

/**
 * Starts a service with the given settings and no others; closes it when the test is over.
 *
 * @param prepare called before it listens, for hooks and routes of the application around it
 */
export async function startService (
  t: Test,
  environment: Record<string, string> = {},
  prepare?: (app: FastifyInstance) => void
): Promise<Service> {
  const log: string[] = []
  const stream = new Writable({ write (chunk, _encoding, done) { log.push(String(chunk)); done() } })
  const app = buildStandalone(readConfig({ JWT_SECRET: SECRET, LOG_LEVEL: 'trace', ...environment }), stream)
  prepare?.(app)
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => { await app.close() })
  const { port } = app.server.address() as AddressInfo
  return { app, url: `http://127.0.0.1:${port}`, port, log }
}

/** A call of the REST API, with `ada`'s token unless told otherwise; objects are sent as JSON. */
export async function call (
  service: Service,
  method: string,
  path: string,
  { body, token = makeToken(), headers = {} }: { body?: unknown, token?: string, headers?: Record<string, string> } = {}
): Promise<{ status: number, headers: Headers, body: any }> { // eslint-disable-line @typescript-eslint/no-explicit-any
  const isJson = body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body)
  const response = await fetch(`${service.url}${path}`, {
    method,
    headers: {
      ...(token !== '' && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': isJson || typeof body === 'string' ? 'application/json' : 'application/octet-stream' }),
      ...headers
    },
    ...(body !== undefined && { body: isJson ? JSON.stringify(body) : body as string })
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : text
  }
}
