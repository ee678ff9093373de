import { createHash } from 'node:crypto'
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
  // Neither part can contain the separator.
  return { id: `${user}\n${key}`, fingerprint: hash.digest('base64') }
}
