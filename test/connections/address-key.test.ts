import { test } from 'tap'
import { addressKey } from '../../src/connections/address-key.ts'

const PEER = '198.51.100.7'

/** The key of a text in `X-Forwarded-For`. */
function keyOf (ip: string): string {
  return addressKey({ ip, socket: { remoteAddress: PEER } })
}

test('an IPv4 address has one key in every notation', async (t) => {
  for (const text of [
    '192.0.2.1', '192.0.2.1:80', '192.0.2.1:65535', '192.0.2.1:_secret', ' 192.0.2.1 ', '"192.0.2.1:80"', '::ffff:192.0.2.1',
    '::FFFF:192.0.2.1',
    '::ffff:c000:201', '0:0:0:0:0:ffff:c000:0201', '[::ffff:192.0.2.1]', '[::ffff:192.0.2.1]:443', '"[::ffff:c000:201]:443"',
    '::ffff:192.0.2.1%eth0',
    '64:ff9b::192.0.2.1', '64:ff9b::c000:201'
  ]) {
    t.equal(keyOf(text), '192.0.2.1', text)
  }
})

test('an IPv6 address has the key of its /64 network in every notation', async (t) => {
  for (const text of [
    '2001:db8:1:2::1', '2001:db8:1:2::ffff', '2001:DB8:1:2:3:4:5:6', '2001:0db8:0001:0002::', '[2001:db8:1:2::1]', '[2001:db8:1:2::1]:4711',
    '"[2001:db8:1:2::1]:4711"', '2001:db8:1:2::1%eth0', '[2001:db8:1:2::1%25eth0]:80', '2001:db8:1:2::192.0.2.1', '[2001:db8:1:2::1]:_x'
  ]) {
    t.equal(keyOf(text), '2001:db8:1:2::/64', text)
  }
  t.equal(keyOf('2001:db8::1'), '2001:db8:0:0::/64')
  t.equal(keyOf('2001:db8:0:1::1'), '2001:db8:0:1::/64', 'another network is another key')
  t.equal(keyOf('::1'), '0:0:0:0::/64')
  t.equal(keyOf('::'), '0:0:0:0::/64')
  t.equal(keyOf('1:2:3:4:5:6:7::'), '1:2:3:4::/64')
  t.equal(keyOf('fe80::1%lo'), 'fe80:0:0:0::/64')
})

test('a text that is no address counts as the address of the socket', async (t) => {
  for (const text of [
    '', 'unknown', '_hidden', 'example.com', 'localhost:80', '192.0.2', '192.0.2.256', '192.0.2.01', '0x7f.0.0.1', '192.0.2.1:999999',
    '192.0.2.1:x',
    '192.0.2.1/24', '[192.0.2.1', '[2001:db8::1', '[2001:db8::1]x', '2001:db8::g', ':::', '%', 'x'.repeat(10_000), ':'.repeat(10_000),
    '\u0000'
  ]) {
    t.equal(keyOf(text), PEER, text.slice(0, 30))
  }
  t.equal(addressKey({ ip: 'unknown', socket: { remoteAddress: '::ffff:198.51.100.7' } }), PEER)
  t.equal(addressKey({ ip: 'unknown', socket: {} }), '', 'a socket without an address is one client')
})

test('the socket is not asked if the address is known', async (t) => {
  const socket = { get remoteAddress (): string { throw new Error('was asked') } }
  t.equal(addressKey({ ip: '192.0.2.1:80', socket }), '192.0.2.1')
})
