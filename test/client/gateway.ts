import { once } from 'node:events'
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A request that came. */
export interface Seen {
  path: string
  headers: IncomingMessage['headers']
  body: string
}

/** What a gateway does with a request: pass it on; pass it on and lose the answer; keep it without an answer; or answer itself. */
export type Fault = 'pass' | 'lose' | 'hang' | { status: number, headers?: Record<string, string>, body?: string }

/** An HTTP proxy in front of a service, which does with each request what it was told. */
export class Gateway {
  readonly url: string
  readonly seen: Seen[] = []
  /** For the requests to come, in their order; then `otherwise`. */
  readonly faults: Fault[] = []
  otherwise: Fault = 'pass'
  readonly #port: number

  private constructor (port: number, servicePort: number) {
    this.url = `http://127.0.0.1:${port}`
    this.#port = servicePort
  }

  /** Starts one on a free port of 127.0.0.1; it is gone when the test is over. */
  static async start (t: Test, { port }: { port: number }): Promise<Gateway> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const gateway = new Gateway((server.address() as AddressInfo).port, port)
    server.on('request', (request: IncomingMessage, response: ServerResponse) => { void gateway.#handle(request, response) })
    t.teardown(() => {
      server.close()
      server.closeAllConnections()
    })
    return gateway
  }

  /** The keys that requests came with. */
  get keys (): unknown[] {
    return this.seen.map(({ headers }) => headers['idempotency-key'])
  }

  /** The bodies, as JSON. */
  get bodies (): any[] { // eslint-disable-line @typescript-eslint/no-explicit-any
    return this.seen.map(({ body }) => JSON.parse(body))
  }

  async #handle (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray() as Buffer[])
    this.seen.push({ path: request.url ?? '', headers: request.headers, body: body.toString() })
    const fault = this.faults.shift() ?? this.otherwise
    if (fault === 'hang') return
    if (typeof fault === 'object') {
      response.writeHead(fault.status, fault.headers).end(fault.body ?? '')
      return
    }
    const passed = forward({
      host: '127.0.0.1',
      port: this.#port,
      method: request.method,
      path: (request.url ?? '').replace(/^\/under\/a\/path/, ''),
      headers: request.headers,
      agent: false
    })
    passed.end(body)
    const [answer] = await once(passed, 'response') as [IncomingMessage]
    const bytes = Buffer.concat(await answer.toArray() as Buffer[])
    if (fault === 'lose') {
      response.destroy()
      return
    }
    response.writeHead(answer.statusCode ?? 0, {
      'content-type': answer.headers['content-type'],
      ...(answer.headers['idempotent-replayed'] !== undefined && { 'idempotent-replayed': 'true' })
    }).end(bytes)
  }
}

/** The service's answer for one of its errors. */
export function problem (
  status: number,
  code: string,
  { retryable = status >= 500, retryAfterMs }: { retryable?: boolean, retryAfterMs?: number } = {}
): { status: number, headers: Record<string, string>, body: string } {
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      ...(retryAfterMs !== undefined && { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) })
    },
    body: JSON.stringify({
      type: `urn:roomcast:error:${code}`,
      title: code,
      status,
      detail: `it is ${code}`,
      code,
      retryable,
      retryAfterMs
    })
  }
}
