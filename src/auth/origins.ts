/**
 * The origins whose pages may connect and call: `*` for any, otherwise in their normal form. An entry such as
 * `https://*.example.com` stands for all subdomains.
 */
export type AllowedOrigins = '*' | ReadonlySet<string>

/** Longer than an origin with a host of 253 characters; it bounds the work of a comparison. */
const MAX_LENGTH = 512
/** An entry of the list: scheme, host and port. A slash at the end is accepted. */
const ENTRY = /^([a-z][a-z\d+.-]*):\/\/([^\s/?#@\\]*)\/?$/i
/** The host and port of a page on the web. */
const WEB_HOST = /^(?:(?:\*\.)?[\w-]+(?:\.[\w-]+)*\.?|\[[\da-f:.]+\])(?::\d+)?$/
/** The host and port of an app's page; the origin is compared as text (RFC 6454, section 6.2). */
const APP_HOST = /^(?:\*\.)?[\w.~-]+(?::\d+)?$/
/** An `Origin` header: a list of several, and hosts that no browser sends, are none. */
const HEADER = /^[a-z][a-z\d+.-]*:\/\/(?:[\w.~-]*|\[[\da-f:.]+\])(?::\d+)?$/
/** A host with at least two labels. */
const SUBDOMAIN = /^(?:[\w-]+\.)+[\w-]+\.?(?::\d+)?$/
/** A misspelt http or https. */
const SLIP = /^[hpst]{3,7}$/
/** Schemes whose pages have an opaque origin: browsers send `null` for them. */
const OPAQUE_SCHEMES = new Set(['about', 'blob', 'data', 'filesystem', 'javascript'])

/** Reads a list of origins; throws an `Error` whose message follows the name of the setting. */
export function readOrigins (origins: string[]): AllowedOrigins {
  if (origins.includes('*')) {
    if (origins.length > 1) throw new Error('has * and others')
    return '*'
  }
  return new Set(origins.map(readOrigin))
}

/** Whether pages of an origin may connect and call. `null` is never in the list. */
export function isOriginAllowed (allowed: AllowedOrigins, origin: string): boolean {
  if (allowed === '*') return true
  if (origin.length > MAX_LENGTH) return false
  const normal = withoutDefaultPort(origin.toLowerCase())
  if (!HEADER.test(normal)) return false
  return allowed.has(normal) || isSubdomainAllowed(allowed, normal)
}

/** Whether an entry such as `https://*.example.com` covers an origin in its normal form. */
function isSubdomainAllowed (allowed: ReadonlySet<string>, origin: string): boolean {
  const start = origin.indexOf('://') + 3
  if (!SUBDOMAIN.test(origin.slice(start))) return false
  for (let dot = origin.indexOf('.', start); dot !== -1; dot = origin.indexOf('.', dot + 1)) {
    if (allowed.has(`${origin.slice(0, start)}*${origin.slice(dot)}`)) return true
  }
  return false
}

/** The normal form of an entry: lower case, punycode, no default port. */
function readOrigin (entry: string): string {
  const refuse = (reason: string): never => {
    throw new Error(`has ${entry}, which is not an origin such as https://app.example.com: ${reason}`)
  }
  if (entry === 'null') return refuse('every site can make a page with the origin null')
  const [, given, host = ''] = ENTRY.exec(entry) ?? []
  if (given === undefined) return refuse('write a scheme, a host and a port if it is not the default, and nothing else')
  const scheme = given.toLowerCase()
  if (scheme === 'ws' || scheme === 'wss') return refuse(`browsers send the origin of the page: write ${scheme === 'ws' ? 'http' : 'https'}://`)
  if (OPAQUE_SCHEMES.has(scheme)) return refuse('browsers send null for this scheme')
  const isWeb = scheme === 'http' || scheme === 'https'
  if (!isWeb && SLIP.test(scheme)) return refuse('write http or https')
  if (scheme === 'file' && host === '') return 'file://' // Some WebViews send it for their files.
  if (host.replace(/^\*\.(?=[^.:])/, '').includes('*')) return refuse('write * only as the first label of a host: https://*.example.com')
  const normal = normaliseHost(`${scheme}://${host}`)
  if (normal === undefined || !(isWeb ? WEB_HOST : APP_HOST).test(normal)) return refuse('correct the host or the port')
  return withoutDefaultPort(`${scheme}://${normal}`)
}

/** The host and port of a URL, as browsers send them; undefined if there is no such host. */
function normaliseHost (url: string): string | undefined {
  return url.length <= MAX_LENGTH && URL.canParse(url) ? new URL(url).host.toLowerCase() : undefined
}

function withoutDefaultPort (origin: string): string {
  return origin.startsWith('https:') ? origin.replace(/:443$/, '') : origin.startsWith('http:') ? origin.replace(/:80$/, '') : origin
}
