import { createPublicKey, type KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'

/** A signature algorithm of tokens (RFC 7518, section 3.1; RFC 8037, section 3.1). */
export type Algorithm = `${'HS' | 'RS' | 'PS' | 'ES'}${256 | 384 | 512}` | 'EdDSA'

/** A key that verifies tokens, and the algorithms to which it is pinned. */
export interface VerificationKey {
  name: 'secret' | 'previous' | 'public'
  /** The secret, or a public key as PEM. */
  key: string
  algorithms: Algorithm[]
}

type NamedKey = Omit<VerificationKey, 'algorithms'>

/** The settings about keys. */
export interface KeySettings {
  secret: string | undefined
  previousSecret: string | undefined
  publicKey: string | undefined
  /** The names of the accepted algorithms; empty for those that fit each key. */
  algorithms: string[]
  /** Whether a short secret is refused. */
  production: boolean
}

const HS: readonly Algorithm[] = ['HS256', 'HS384', 'HS512']
const RSA: readonly Algorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const CURVES: Readonly<Record<string, Algorithm>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }
const KNOWN: readonly string[] = [...HS, ...RSA, ...Object.values(CURVES), 'EdDSA']

const PUBLIC_KEY = 'an RSA, EC (P-256, P-384, P-521) or Ed25519 public key in PEM'
/** The beginning of a PEM, and of a PEM in base64. */
const PEM = '-----BEGIN'
const PEM_IN_BASE64 = 'LS0tLS1CRUdJT'

/** The shortest secret in production (RFC 7518, section 3.2), bytes. */
const MIN_SECRET_BYTES = 32

/**
 * Reads the keys that verify tokens.
 *
 * @param faults receives a text for each unusable setting
 */
export function readKeys (settings: KeySettings, faults: string[]): VerificationKey[] {
  const { algorithms: wanted, production } = settings
  for (const algorithm of wanted) {
    if (!KNOWN.includes(algorithm)) faults.push(`JWT_ALGORITHMS has ${algorithm}, which is none of ${KNOWN.join(', ')}`)
  }

  const keys: VerificationKey[] = []
  const add = (key: NamedKey, variable: string, usable: readonly Algorithm[], standard: readonly Algorithm[]): void => {
    const algorithms = wanted.length === 0 ? standard : usable.filter((algorithm) => wanted.includes(algorithm))
    if (algorithms.length === 0) faults.push(`JWT_ALGORITHMS has none that fits ${variable} (${usable.join(', ')})`)
    else keys.push({ ...key, algorithms: [...algorithms] })
  }
  const addSecret = (name: VerificationKey['name'], variable: string, key: string | undefined): void => {
    if (key === undefined) return
    const kind = kindOfKey(key)
    if (kind !== undefined) {
      faults.push(`${variable} has ${kind}: write a random text to ${variable}, and a public key to JWT_PUBLIC_KEY`)
    } else if (production && Buffer.byteLength(key) < MIN_SECRET_BYTES) {
      faults.push(`${variable} must have at least ${MIN_SECRET_BYTES} bytes in production`)
    } else add({ name, key }, variable, HS, ['HS256'])
  }
  addSecret('secret', 'JWT_SECRET', settings.secret)
  addSecret('previous', 'JWT_SECRET_PREVIOUS', settings.previousSecret)
  if (settings.publicKey !== undefined) {
    const key = settings.publicKey.replaceAll('\\n', '\n')
    const algorithms = publicKeyAlgorithms(key)
    if (algorithms === undefined) faults.push(`JWT_PUBLIC_KEY must be ${PUBLIC_KEY}${adviceAbout(key)}`)
    else add({ name: 'public', key }, 'JWT_PUBLIC_KEY', algorithms, algorithms)
  }
  return keys
}

function publicKeyAlgorithms (pem: string): readonly Algorithm[] | undefined {
  if (pem.includes('PRIVATE KEY')) return undefined
  let key: KeyObject
  try {
    key = createPublicKey(pem)
  } catch {
    return undefined
  }
  if (key.asymmetricKeyType === 'rsa') return RSA
  if (key.asymmetricKeyType === 'ed25519') return ['EdDSA']
  const curve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? '']
  return curve === undefined ? undefined : [curve]
}

/** Recognises a text that is no secret: an attacker may have a public key, or guess a path, and could sign tokens with it. */
function kindOfKey (secret: string): string | undefined {
  if (secret.includes(PEM)) return 'a PEM'
  if (secret.includes(PEM_IN_BASE64)) return 'a PEM in base64'
  if (/^\s*\{/.test(secret) && secret.includes('"kty"')) return 'a JWK'
  if (/^(?:ssh|ecdsa)-/.test(secret)) return 'an SSH key'
  if (secret.startsWith('/') && existsSync(secret)) return 'the path of a file'
  try {
    createPublicKey({ key: Buffer.from(secret, 'base64'), format: 'der', type: 'spki' })
    return 'a public key in base64'
  } catch {
    return undefined
  }
}

/** The likely slip behind an unusable public key. The key itself is not shown: it may be a secret. */
function adviceAbout (key: string): string {
  if (key.includes('PRIVATE KEY')) return '; it has a private key: write the public key, as openssl pkey -pubout prints it'
  if (key.includes(PEM)) return '; it has another PEM, or one with spaces in place of line breaks: write \\n for each line break'
  if (key.includes(PEM_IN_BASE64)) return '; it has a PEM in base64: write the PEM itself'
  if (/^[/.~]|^file:|\.(?:pem|pub|key|crt|cer)$/i.test(key.trim())) return '; it has the path of a file: write the content of the file'
  if (/^\s*\{/.test(key)) return '; it has JSON: write the key in PEM'
  return '; write the PEM, from -----BEGIN PUBLIC KEY----- to the end'
}
