import { createHmac, sign as signWithKey, type KeyObject } from 'node:crypto'

/** The secret of every service under test, unless a test sets another one. */
export const SECRET = 'a secret of the tests, thirty-two bytes long'

/** A token: HS256 with `SECRET` for `ada`, good for an hour, unless claims, header or key say otherwise. `undefined` leaves a claim out. */
export function makeToken (
  claims: Record<string, unknown> = {},
  { header = {}, key = SECRET }: { header?: Record<string, unknown>, key?: string | KeyObject } = {}
): string {
  const fullHeader = { alg: 'HS256', typ: 'JWT', ...header }
  const input = `${encode(fullHeader)}.${encode({ sub: 'ada', exp: Math.floor(Date.now() / 1_000) + 3_600, ...claims })}`
  return `${input}.${makeSignature(fullHeader.alg, input, key)}`
}

function encode (value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function makeSignature (alg: string, input: string, key: string | KeyObject): string {
  const hash = `sha${alg.slice(2)}`
  if (alg.startsWith('HS')) return createHmac(hash, key).update(input).digest('base64url')
  if (alg === 'none') return ''
  const padding = alg.startsWith('PS') ? { padding: 6, saltLength: -1 } : {} // RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST
  const signature = signWithKey(alg === 'EdDSA' ? null : hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363', ...padding } as never)
  return signature.toString('base64url')
}
