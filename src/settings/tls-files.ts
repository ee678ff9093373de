import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { Findings } from './findings.ts'

/** A certificate and its key, in PEM. */
export interface TlsFiles {
  cert: Buffer
  key: Buffer
}

/** Reads the files to serve TLS with, and checks that a TLS server can use them. */
export function readTlsFiles (certFile: string | undefined, keyFile: string | undefined, findings: Findings): TlsFiles | undefined {
  const { faults } = findings
  if (certFile === undefined && keyFile === undefined) return undefined
  if (certFile === undefined || keyFile === undefined) {
    faults.push(`TLS_CERT_FILE and TLS_KEY_FILE go together: set ${certFile === undefined ? 'TLS_CERT_FILE' : 'TLS_KEY_FILE'} as well`)
    return undefined
  }
  const cert = readFile('TLS_CERT_FILE', certFile, faults)
  const key = readFile('TLS_KEY_FILE', keyFile, faults)
  const certificate = cert === undefined ? undefined : readCertificate(cert, faults)
  const privateKey = key === undefined ? undefined : readKey(key, faults)
  if (cert === undefined || key === undefined || certificate === undefined || privateKey === undefined) return undefined

  if (!certificate.checkPrivateKey(privateKey)) {
    faults.push('TLS_KEY_FILE is not the key of the first certificate in TLS_CERT_FILE: use the key that the certificate was made for')
    return undefined
  }
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    faults.push(`TLS_CERT_FILE cannot be used: ${(error as Error).message}`)
    return undefined
  }
  warnOfDates(certificate, findings.warnings)
  return { cert, key }
}

function readFile (setting: string, path: string, faults: string[]): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    faults.push(`${setting} cannot be read: ${(error as Error).message}`)
    return undefined
  }
}

function readCertificate (pem: Buffer, faults: string[]): X509Certificate | undefined {
  try {
    // A certificate that is not PEM can be read here, and not by a server.
    if (pem.includes('CERTIFICATE-----')) return new X509Certificate(pem)
  } catch {}
  const advice = pem.includes('PRIVATE KEY-----')
    ? 'it has a private key, which belongs in TLS_KEY_FILE'
    : 'write the path of a certificate in PEM'
  faults.push(`TLS_CERT_FILE has no certificate: ${advice}`)
  return undefined
}

function readKey (pem: Buffer, faults: string[]): KeyObject | undefined {
  const text = pem.toString('latin1')
  try {
    return createPrivateKey(pem)
  } catch {}
  const advice = /-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(text)
    ? 'it is encrypted; decrypt it, such as with openssl pkey'
    : text.includes('CERTIFICATE-----') ? 'it has a certificate, which belongs in TLS_CERT_FILE' : 'write the path of a private key in PEM'
  faults.push(`TLS_KEY_FILE has no usable key: ${advice}`)
  return undefined
}

function warnOfDates ({ validFrom, validTo }: X509Certificate, warnings: string[]): void {
  if (Date.parse(validTo) < Date.now()) warnings.push(`TLS_CERT_FILE expired at ${validTo}: renew the certificate`)
  if (Date.parse(validFrom) > Date.now()) warnings.push(`TLS_CERT_FILE is not valid before ${validFrom}: check the clock`)
}
