import { editDistance } from './edit-distance.ts'
import type { Findings } from './findings.ts'

/** Variables that platforms set beside the settings, or that Node and OpenSSL read. */
const PLATFORM = new Set(['HOSTNAME', 'NODE_VERSION', 'NODE_OPTIONS', 'SSL_CERT_FILE'])
/** The variable of a port in the service links of Kubernetes and of Docker. */
const LINKED_PORT = /_PORT_\d+_(?:TCP|UDP|SCTP)/
/** Settings that decide about callers, origins and instances: a default in place of one of them is not safe. */
const SAFETY = /^(?:JWT_|REDIS_|TLS_|NODE_ENV$|ALLOWED_ORIGINS$|DEFAULT_GRANTS$|ROOMS_FILE$)/
/** Letters that may differ between a setting and its misspelt name; fewer in the names of words such as HOME. */
const MAX_DISTANCE = 2
const MAX_DISTANCE_OF_SHORT = 1
const SHORT = 5

interface NameOptions {
  /** The names of the settings, and `NODE_ENV`. */
  settings: readonly string[]
  /** Other names that are dealt with elsewhere. */
  others: readonly string[]
  production: boolean
  /** The names in a file with nothing but settings. */
  file: ReadonlySet<string>
}

/** Finds variables whose names are slips of the pen. A variable without a value is one that is not set. */
export function checkNames (given: Readonly<Record<string, string>>, options: NameOptions, { faults, warnings }: Findings): void {
  const known = new Set([...options.settings, ...options.others])
  const prefixes = new Set(['ROOMCAST', ...options.settings.filter((name) => name !== 'NODE_ENV').map(firstWord)])
  for (const [name, value] of Object.entries(given)) {
    if (known.has(name) || isSetByPlatform(name)) continue
    const spelling = name.trim().toUpperCase().replace(/[^A-Z\d]/g, '_')
    const meant = findNearest(spelling, options.settings)
    if (meant !== undefined) {
      // Without the misspelt NODE_ENV it is no production.
      const isUnsafe = SAFETY.test(meant) && (options.production || (meant === 'NODE_ENV' && /^\s*prod/i.test(value)))
      ;(isUnsafe ? faults : warnings).push(`${name} is not a setting: rename it to ${meant} if that is meant, or remove it`)
    } else if (spelling.includes('_') && prefixes.has(firstWord(spelling))) {
      warnings.push(`${name} is not a setting and has no effect: look for its name in docs/configuration.md, or ignore this`)
    } else if (options.file.has(name)) {
      warnings.push(`${name} in .env is not a setting and has no effect: correct or remove it`)
    }
  }
}

/** Finds the setting with the most similar name; the one that matters for safety if two are as similar. */
function findNearest (name: string, settings: readonly string[]): string | undefined {
  let nearest: string | undefined
  let least = Infinity
  for (const setting of settings) {
    const limit = setting.length <= SHORT ? MAX_DISTANCE_OF_SHORT : MAX_DISTANCE
    const distance = editDistance(name, setting, limit)
    if (distance > limit || distance > least || (distance === least && !SAFETY.test(setting))) continue
    nearest = setting
    least = distance
  }
  return nearest
}

/** Service links are `<SERVICE>_SERVICE_HOST`, `<SERVICE>_PORT_6379_TCP_ADDR` and the like. */
function isSetByPlatform (name: string): boolean {
  return PLATFORM.has(name) || name.endsWith('_SERVICE_HOST') || name.includes('_SERVICE_PORT') || name.endsWith('_PORT') ||
    LINKED_PORT.test(name)
}

function firstWord (name: string): string {
  const end = name.indexOf('_')
  return end === -1 ? name : name.slice(0, end)
}
