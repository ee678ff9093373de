/** The token in the subprotocols of a client; empty without one. */
export function readToken (protocols: readonly string[]): string {
  return protocols.find((entry) => entry.startsWith('bearer.'))?.slice('bearer.'.length) ?? ''
}

/**
 * The key of a connection: tabs with the same key share one. It has the URL, and the user and the grants of the token, because
 * a connection has the grants of one token. Without readable claims it has the whole token.
 */
export function connectionKey (url: string, token: string): string {
  try {
    const { sub, rooms }: { sub?: unknown, rooms?: unknown } =
      JSON.parse(atob((token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/')))
    if (typeof sub === 'string') return JSON.stringify([url, sub, rooms])
  } catch {}
  return JSON.stringify([url, token])
}
