import type { Address } from './settings.ts'

/** The address of a Redis server, with the credentials and the database to select. */
export interface RedisUrl {
  address: Address
  username?: string | undefined
  password?: string | undefined
  database: number
  tls: boolean
}

/** Reads `redis[s]://[[user]:password@]host[:port][/database]`, or `host[:port]`; undefined if it is neither. */
export function readRedisUrl (value: string): RedisUrl | undefined {
  const text = value.includes('://') ? value : `redis://${value}`
  if (!URL.canParse(text)) return undefined
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text)
  if (!['redis:', 'rediss:'].includes(protocol) || hostname === '') return undefined
  if (!/^\/?\d*$/.test(pathname) || search !== '' || hash !== '') return undefined
  if (![username, password].every(isDecodable)) return undefined
  return {
    address: { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 6379 : Number(port) },
    username: username === '' ? undefined : decodeURIComponent(username),
    password: password === '' ? undefined : decodeURIComponent(password),
    database: Number(pathname.slice(1)),
    tls: protocol === 'rediss:'
  }
}

function isDecodable (text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/** Hides the credentials of a URL, for messages. */
export function withoutPassword (url: string): string {
  const start = url.indexOf('://') + 3
  const end = url.lastIndexOf('@')
  return start > 2 && end >= start ? `${url.slice(0, start)}***${url.slice(end)}` : url
}
