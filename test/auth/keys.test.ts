import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { test } from 'tap'
import { readKeys } from '../../src/auth/keys.ts'
import { SECRET } from '../support/token.ts'

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const PUBLIC = String(publicKey.export({ type: 'spki', format: 'pem' }))
const PRIVATE = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))

function faultsOf (settings: { secret?: string, previousSecret?: string, publicKey?: string }): string[] {
  const faults: string[] = []
  readKeys({ secret: undefined, previousSecret: undefined, publicKey: undefined, algorithms: [], production: true, ...settings }, faults)
  return faults
}

test('a secret that is a key of another kind is refused', (t) => {
  const file = `${t.testdir({ secret: SECRET })}/secret`
  for (const [text, kind] of [
    [PUBLIC, 'a PEM'], [PRIVATE, 'a PEM'], [` ${PUBLIC}`, 'a PEM'], [`"${PUBLIC}"`, 'a PEM'], [PUBLIC.replaceAll('\n', '\\n'), 'a PEM'],
    ['-----BEGIN CERTIFICATE-----', 'a PEM'], [Buffer.from(PUBLIC).toString('base64'), 'a PEM in base64'],
    [String(publicKey.export({ type: 'spki', format: 'der' }).toString('base64')), 'a public key in base64'],
    [PUBLIC.split('\n').slice(1, -2).join(''), 'a public key in base64'],
    [JSON.stringify(publicKey.export({ format: 'jwk' })), 'a JWK'], ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA', 'an SSH key'],
    [file, 'the path of a file']
  ] as const) {
    const advice = (name: string): string => `${name} has ${kind}: write a random text to ${name}, and a public key to JWT_PUBLIC_KEY`
    t.strictSame(faultsOf({ secret: text }), [advice('JWT_SECRET')])
    t.strictSame(faultsOf({ secret: SECRET, previousSecret: text }), [advice('JWT_SECRET_PREVIOUS')])
  }
  t.end()
})

test('a random text is a secret, in any notation', (t) => {
  for (const text of [
    SECRET, `/${SECRET}`, `{${SECRET}}`, 'f'.repeat(64), Buffer.alloc(48, 7).toString('base64'), Buffer.alloc(48, 0x30).toString('base64')
  ]) t.strictSame(faultsOf({ secret: text }), [], text)
  t.end()
})

test('a public key that is none is refused, with the likely slip', (t) => {
  const path = `${t.testdir({})}/key.pem`
  writeFileSync(path, PUBLIC)
  for (const [text, advice] of [
    [PRIVATE, /it has a private key/], [path, /path of a file/], ['key.pem', /path of a file/], ['file:///run/key', /path of a file/],
    [PUBLIC.replaceAll('\n', ' '), /spaces in place of line breaks/], [Buffer.from(PUBLIC).toString('base64'), /PEM in base64/],
    [JSON.stringify(publicKey.export({ format: 'jwk' })), /it has JSON/], [SECRET, /write the PEM/]
  ] as const) {
    const [fault, ...others] = faultsOf({ publicKey: text })
    t.match(fault, /^JWT_PUBLIC_KEY must be an RSA, EC .* public key in PEM; /)
    t.match(fault, advice)
    t.notMatch(fault, text, 'the text is not shown')
    t.strictSame(others, [])
  }
  t.end()
})
