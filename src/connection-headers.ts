import type { FastifyReply } from 'fastify'

/** Headers about one connection of HTTP/1.1. HTTP/2 forbids them (RFC 9113, section 8.2.2): Node throws an error for most. */
const CONNECTION_HEADERS = ['connection', 'http2-settings', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade']

/** Removes the headers that the version of HTTP forbids. */
export function dropConnectionHeaders (reply: FastifyReply): void {
  if (reply.request.raw.httpVersionMajor < 2) return
  for (const name of CONNECTION_HEADERS) reply.removeHeader(name)
}
