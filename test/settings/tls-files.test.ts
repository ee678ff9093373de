import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { SECRET } from '../support/token.ts'

const pathOf = (name: string): string => new URL(`../../../test/fixtures/${name}`, import.meta.url).pathname
const [CERTIFICATE, KEY] = [pathOf('certificate.pem'), pathOf('key.pem')]

function encryptedKey (type: 'pkcs1' | 'pkcs8'): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return String(privateKey.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }))
}

test('a TLS file that cannot be used is named', (t) => {
  const folder = t.testdir({ none: '', text: 'not a certificate\n' })
  const der = `${folder}/der`
  writeFileSync(der, new X509Certificate(readFileSync(CERTIFICATE)).raw)
  const files = Object.entries({ pkcs1: encryptedKey('pkcs1'), pkcs8: encryptedKey('pkcs8') }).map(([name, text]) => {
    writeFileSync(`${folder}/${name}`, text)
    return `${folder}/${name}`
  })
  const other = `${folder}/other`
  writeFileSync(other, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const broken = `${folder}/broken`
  const armour = (label: string): string => `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`
  writeFileSync(broken, armour('CERTIFICATE') + armour('PRIVATE KEY'))
  for (const [cert, key, fault] of [
    [CERTIFICATE, '', /TLS_CERT_FILE and TLS_KEY_FILE go together: set TLS_KEY_FILE as well/],
    ['', KEY, /set TLS_CERT_FILE as well/],
    [`${folder}/missing`, KEY, /: TLS_CERT_FILE cannot be read: ENOENT/],
    [CERTIFICATE, `${folder}/missing`, /: TLS_KEY_FILE cannot be read: ENOENT/],
    [folder, KEY, /: TLS_CERT_FILE cannot be read: EISDIR/],
    [CERTIFICATE, folder, /: TLS_KEY_FILE cannot be read: EISDIR/],
    [`${folder}/none`, KEY, /: TLS_CERT_FILE has no certificate/],
    [`${folder}/text`, `${folder}/text`, /: TLS_CERT_FILE has no certificate.*; TLS_KEY_FILE has no usable key/],
    [der, KEY, /: TLS_CERT_FILE has no certificate: write the path of a certificate in PEM/],
    [broken, KEY, /: TLS_CERT_FILE has no certificate/],
    [CERTIFICATE, broken, /: TLS_KEY_FILE has no usable key/],
    [KEY, CERTIFICATE, /: TLS_CERT_FILE .* belongs in TLS_KEY_FILE; TLS_KEY_FILE .* belongs in TLS_CERT_FILE/],
    ...files.map((file) => [CERTIFICATE, file, /: TLS_KEY_FILE has no usable key: it is encrypted/] as const),
    [CERTIFICATE, other, /: TLS_KEY_FILE is not the key of the first certificate/]
  ] as const) {
    t.throws(
      () => readConfig({ JWT_SECRET: SECRET, TLS_CERT_FILE: cert, TLS_KEY_FILE: key }),
      { name: 'InvalidConfig', message: fault },
      String(fault)
    )
  }
  t.end()
})

test('one file may have the certificate and its key', (t) => {
  const file = `${t.testdir({})}/both.pem`
  writeFileSync(file, Buffer.concat([readFileSync(KEY), readFileSync(CERTIFICATE)]))
  const { tls, warnings } = readConfig({ JWT_SECRET: SECRET, TLS_CERT_FILE: file, TLS_KEY_FILE: file })
  t.ok(tls?.cert)
  t.strictSame(warnings, [])
  t.end()
})

test('an expired certificate is a warning', (t) => {
  const { warnings } = readConfig({ JWT_SECRET: SECRET, TLS_CERT_FILE: pathOf('expired-certificate.pem'), TLS_KEY_FILE: KEY })
  t.match(warnings, [/^TLS_CERT_FILE expired at Jan {2}2 /])
  t.end()
})
