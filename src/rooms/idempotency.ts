import { createHash, hash as hashOnce } from 'node:crypto'
import type { Identity } from '../auth/identity.ts'
import type { Idempotency } from '../broker/broker.ts'
import type { EncodedContent } from '../protocol/message.ts'

/**
 * The identity of a publish with a key. `exclude` is not part of the fingerprint: a client that reconnects and retries
 * with `echo: false` may have another origin by then.
 */
export function idempotencyOf ({ user }: Identity, key: string, { fields, bytes }: EncodedContent): Idempotency {
  const hash = createHash('sha256').update(fields).update(bytes === undefined ? '' : '\nbinary\n')
  if (bytes !== undefined) hash.update(bytes)
  // Neither part of the name can contain the separator. As a hash, a remembered name takes the same memory for each key.
  return { id: hashOnce('sha256', `${user}\n${key}`, 'base64url').slice(0, 22), fingerprint: hash.digest('base64') }
}
