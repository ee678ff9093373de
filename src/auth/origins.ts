/** The origins whose pages may connect and call: `*` for any, otherwise in their normal form. */
export type AllowedOrigins = '*' | ReadonlySet<string>

/** Reads a list of origins; throws an `Error` whose message follows the name of the setting. */
export function readOrigins (origins: string[]): AllowedOrigins {
  if (origins.includes('*')) {
    if (origins.length > 1) throw new Error('has * and others')
    return '*'
  }
  return new Set(origins.map((origin) => {
    const normal = normaliseOrigin(origin)
    if (normal === undefined) throw new Error(`has ${origin}, which is not an origin such as https://app.example.com`)
    return normal
  }))
}

/** Whether pages of an origin may connect and call. `null` is never in the list. */
export function isOriginAllowed (allowed: AllowedOrigins, origin: string): boolean {
  if (allowed === '*') return true
  const normal = normaliseOrigin(origin)
  return normal !== undefined && allowed.has(normal)
}

/** The normal form of an origin (RFC 6454, section 6.2): lower case, no default port. Undefined for other texts. */
function normaliseOrigin (origin: string): string | undefined {
  if (!URL.canParse(origin)) return undefined
  const url = new URL(origin)
  const isBare = url.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
  return isBare && url.origin !== 'null' ? url.origin : undefined
}
