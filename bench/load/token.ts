import { createHmac } from 'node:crypto'

/** Longer than any run, s. */
const LIFETIME_SECONDS = 86_400

/** A token for a user: HS256. */
export function makeToken (user: string, secret: string): string {
  const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: user, exp: Math.floor(Date.now() / 1_000) + LIFETIME_SECONDS })}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

function encode (value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
