import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Problem } from './errors.ts'

/** Answers on a bare socket, where there is no reply to send: an upgrade that Fastify does not get to see. Ends the socket. */
export function writeProblem (socket: Duplex, problem: Problem, headers: Record<string, string> = {}): void {
  const body = JSON.stringify(problem)
  const lines = Object.entries({
    'Content-Type': 'application/problem+json',
    'Content-Length': String(Buffer.byteLength(body)),
    Connection: 'close',
    ...retryAfter(problem),
    ...headers
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.once('error', () => { socket.destroy() })
  socket.once('finish', () => { socket.destroy() })
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${lines.join('')}\r\n${body}`)
}

/** The `Retry-After` of a problem (RFC 9110, section 10.2.3: whole seconds). */
export function retryAfter ({ retryAfterMs }: Problem): Record<string, string> {
  return retryAfterMs === undefined ? {} : { 'Retry-After': String(Math.ceil(retryAfterMs / 1_000)) }
}
