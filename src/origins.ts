import { type Config, normaliseOrigin } from './config.ts'

/** Whether pages of an origin may connect and call (`ALLOWED_ORIGINS`). `null` never is an origin of the list. */
export function isOriginAllowed ({ allowedOrigins }: Config, origin: string): boolean {
  if (allowedOrigins === '*') return true
  const normal = normaliseOrigin(origin)
  return normal !== undefined && allowedOrigins.has(normal)
}
