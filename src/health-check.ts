/** Asks the service on this machine whether it is alive; exits with 0 or 1. For containers without curl. */
import { get } from 'node:http'
import { get as getWithTls } from 'node:https'
import { readConfig } from './config.ts'

/** Time to answer; the HEALTHCHECK of the image allows 5 s for all, ms. */
const TIMEOUT_MS = 3_000

/** What listens everywhere is asked on the loopback address. */
const LOOPBACK: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

const { HOST, PORT, tls } = readConfig(undefined, { standalone: true })
// The certificate is for the name that clients use, and need not have the loopback address.
const options = {
  host: LOOPBACK[HOST] ?? HOST,
  port: PORT,
  path: '/health/live',
  rejectUnauthorized: false,
  signal: AbortSignal.timeout(TIMEOUT_MS)
}
const request = (tls === undefined ? get : getWithTls)(options, ({ statusCode }) => { process.exit(statusCode === 200 ? 0 : 1) })
request.once('error', ({ message }) => {
  console.error(`roomcast: not alive: ${message}`)
  process.exit(1)
})
