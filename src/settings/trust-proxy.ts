import { isIP } from 'node:net'

/** Whose `X-Forwarded-For` is believed, as Fastify takes it; a number of proxies is a function there. */
export type TrustProxy = boolean | string[] | ((address: string, hop: number) => boolean)

/** Reads the trusted proxies; throws an `Error` whose message follows the name of the setting. */
export function readTrustProxy (value: string, networks: string[]): TrustProxy {
  if (value === 'true' || value === 'false') return value === 'true'
  if (/^\d+$/.test(value)) return (_address, hop) => hop < Number(value)
  for (const network of networks) {
    const [address = '', bits = '0', ...more] = network.split('/')
    const named = ['loopback', 'linklocal', 'uniquelocal'].includes(network)
    if (!named && (isIP(address) === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (isIP(address) === 4 ? 32 : 128) || more.length > 0)) {
      throw new Error(`has ${network}, which is neither true, false, a number, an address nor a network`)
    }
  }
  return networks
}
