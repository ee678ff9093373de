import { isIPv4, isIPv6 } from 'node:net'

/** The address of a client, as a proxy may have written it, and the address of its socket. */
export interface Addressed {
  /** Asks the kernel: read it only if a limit needs it. */
  readonly ip: string
  readonly socket: { readonly remoteAddress?: string | undefined }
}

/**
 * The key of a client's address, for limits per address: one text for all notations of one address. An IPv6 address counts by its /64
 * network, which one subscriber has for itself. A text that is no address, such as `unknown`, counts as the address of the socket.
 */
export function addressKey ({ ip, socket }: Addressed): string {
  return readAddress(ip) ?? readAddress(socket.remoteAddress) ?? ''
}

/** The key of an address; undefined for other texts. */
function readAddress (text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  if (isIPv4(text)) return text
  const address = withoutPort(text.trim().replaceAll('"', ''))
  if (isIPv4(address)) return address
  const plain = withoutZone(address)
  return isIPv6(plain) ? keyOfIPv6(plain) : undefined
}

/** Removes a port and brackets (RFC 7239, section 6): `192.0.2.1:80`, `[2001:db8::1]:80`. */
function withoutPort (text: string): string {
  if (text.startsWith('[')) {
    const end = text.indexOf(']')
    return end !== -1 && isPort(text.slice(end + 1)) ? text.slice(1, end) : text
  }
  const colon = text.indexOf(':')
  return colon !== -1 && isPort(text.slice(colon)) ? text.slice(0, colon) : text
}

/** Whether a text is nothing, or a colon and a port, which may be obfuscated (RFC 7239, section 6.3). */
function isPort (text: string): boolean {
  return text === '' || /^:(?:\d{1,5}|_[\w.-]+)$/.test(text)
}

function withoutZone (address: string): string {
  const percent = address.indexOf('%')
  return percent === -1 ? address : address.slice(0, percent)
}

/** The network of an IPv6 address, or the IPv4 address in it (RFC 4291, section 2.5.5.2; RFC 6052, section 2.1). */
function keyOfIPv6 (address: string): string {
  const groups = readGroups(address)
  const prefix = groups.slice(0, 6).map((group) => group.toString(16)).join(':')
  if (prefix === '0:0:0:0:0:ffff' || prefix === '64:ff9b:0:0:0:0') {
    const [high = 0, low = 0] = groups.slice(6)
    return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`
  }
  return `${groups.slice(0, 4).map((group) => group.toString(16)).join(':')}::/64`
}

/** The eight groups of a valid IPv6 address. */
function readGroups (address: string): number[] {
  const [head = [], tail] = address.split('::').map((part) => part === '' ? [] : part.split(':').flatMap(readGroup))
  if (tail === undefined) return head
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail]
}

/** The number of a group, or both numbers of an IPv4 address at the end. */
function readGroup (group: string): number[] {
  if (!group.includes('.')) return [Number.parseInt(group, 16)]
  const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
  return [a << 8 | b, c << 8 | d]
}
