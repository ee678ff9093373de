import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { test } from 'tap'
import { readOrigins } from '../../src/auth/origins.ts'
import { type Client, Limits, type LimitsOptions, type Owner } from '../../src/connections/limits.ts'
import { RoomcastError } from '../../src/errors.ts'
import type { Connection } from '../../src/hub/connection.ts'
import { Hub } from '../../src/hub/hub.ts'
import { connectTo, RecordingTransport } from '../hub/recorder.ts'

const ADDRESS = '192.0.2.1'
const FULL_RETRY_MS = 5_000

/** Limits that refuse no client, unless an option says so. */
function makeLimits (options: Partial<LimitsOptions> = {}): Limits {
  return new Limits({
    hub: new Hub(),
    allowedOrigins: readOrigins(['https://app.example.com']),
    maxConnections: 0,
    maxConnectionsPerUser: 0,
    maxConnectionsPerAddress: 0,
    countConnection: undefined,
    isDraining: () => false,
    ...options
  })
}

function clientFrom (ip: string, origin?: string): Client {
  return { ip, socket: {}, headers: { origin } }
}

/** A client whose address counts its reads. */
function countReads (origin?: string): { client: Client, reads: () => number } {
  let reads = 0
  const read = () => { reads++; return ADDRESS }
  const socket = { get remoteAddress () { return read() } }
  return { client: { get ip () { return read() }, socket, headers: { origin } }, reads: () => reads }
}

function ownerOf (user: string, origin?: string): Owner {
  return { user, origin }
}

function connectUser (hub: Hub, user: string, origin?: string): Connection {
  const connection = connectTo(new RecordingTransport(), { user, ...(origin !== undefined && { origin }) })
  hub.add(connection)
  return connection
}

/** The refusal of a check, as code, text and wait; undefined if it passes. */
function refusalOf (check: () => void): [string, string, number | undefined] | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    if (!(error instanceof RoomcastError)) throw error
    return [error.code, error.message, error.retryAfterMs]
  }
}

async function close (stream: PassThrough): Promise<void> {
  const closed = once(stream, 'close')
  stream.destroy()
  await closed
}

/** The refusals, in the order in which they come. */
const REFUSALS: [string, string, number | undefined][] = [
  ['draining', 'This instance is going down', 1_000],
  ['origin_forbidden', 'Origin not allowed', undefined],
  ['overloaded', 'This instance takes no more connections', FULL_RETRY_MS],
  ['connection_limit', 'Too many connections of this user', FULL_RETRY_MS],
  ['connection_limit', 'Too many connections from this address', FULL_RETRY_MS]
]

test('limits of 0 refuse no client, however many connections there are', async (t) => {
  const hub = new Hub()
  const limits = makeLimits({ hub })
  for (let i = 0; i < 1_000; i++) {
    limits.check(clientFrom(ADDRESS), new PassThrough(), ownerOf('ada'))
    limits.recheck(ownerOf('ada'))
    connectUser(hub, 'ada')
  }
  t.equal(hub.connectionsOf('ada'), 1_000)
})

test('a client gets the first of the refusals that apply at once: draining, origin, capacity, user, address', async (t) => {
  for (let applying = 0; applying < 2 ** REFUSALS.length; applying++) {
    const [draining, origin, capacity, user, address] = REFUSALS.map((_, i) => (applying & (1 << i)) !== 0)
    const hub = new Hub()
    let isDraining = false
    const limits = makeLimits({
      hub,
      isDraining: () => isDraining,
      maxConnections: capacity === true ? 2 : 3,
      maxConnectionsPerUser: user === true ? 2 : 3,
      maxConnectionsPerAddress: address === true ? 1 : 2
    })
    limits.check(clientFrom(ADDRESS), new PassThrough(), ownerOf('ada'))
    connectUser(hub, 'ada')
    connectUser(hub, 'ada')
    isDraining = draining === true
    const client = clientFrom(ADDRESS, origin === true ? 'https://evil.example' : 'https://app.example.com')
    const expected = REFUSALS.find((_, i) => (applying & (1 << i)) !== 0)
    t.strictSame(refusalOf(() => { limits.check(client, new PassThrough(), ownerOf('ada')) }), expected, `case ${applying}`)
  }
})

test('an instance takes as many connections as it may have, and another one when one is gone', async (t) => {
  const hub = new Hub()
  const limits = makeLimits({ hub, maxConnections: 2 })
  const check = (): void => { limits.check(clientFrom(ADDRESS), new PassThrough()) }
  for (const user of ['ada', 'bob']) {
    check()
    connectUser(hub, user)
  }
  t.strictSame(refusalOf(check), REFUSALS[2])
  hub.remove([...hub.connections][0] as Connection)
  check()
})

test('a user has as many connections as allowed, and other users are not refused for them', async (t) => {
  const hub = new Hub()
  const limits = makeLimits({ hub, maxConnectionsPerUser: 2 })
  const check = (user?: string) => (): void => {
    limits.check(clientFrom(ADDRESS), new PassThrough(), user === undefined ? undefined : ownerOf(user))
  }
  const first = connectUser(hub, 'ada')
  check('ada')()
  connectUser(hub, 'ada')
  t.strictSame(refusalOf(check('ada')), REFUSALS[3])
  check('bob')()
  check('Ada')()
  check()() // The user of a WebSocket is not known yet.
  hub.remove(first)
  check('ada')()
})

test('at the limit a user gets in again by the oldest connection of the same client, and by no other', async (t) => {
  const hub = new Hub()
  const limits = makeLimits({ hub, maxConnectionsPerUser: 3, maxConnectionsPerAddress: 10 })
  const [mine, others] = ['the-origin-of-a-tab', 'the-origin-of-another']
  const unnamed = connectUser(hub, 'ada')
  const first = connectUser(hub, 'ada', mine)
  limits.check(clientFrom(ADDRESS), new PassThrough(), ownerOf('ada', mine))
  t.equal(first.ended, false, 'there was a place')
  const second = connectUser(hub, 'ada', mine)
  const bob = connectUser(hub, 'bob', others)
  for (const origin of [undefined, others, unnamed.id]) {
    t.strictSame(refusalOf(() => { limits.recheck(ownerOf('ada', origin)) }), REFUSALS[3], String(origin))
    t.strictSame(refusalOf(() => { limits.check(clientFrom(ADDRESS), new PassThrough(), ownerOf('ada', origin)) }), REFUSALS[3])
  }
  limits.recheck(ownerOf('ada', mine))
  t.strictSame([first, second, unnamed, bob].map(({ closeReason }) => closeReason), ['removed', undefined, undefined, undefined])
  const third = connectUser(hub, 'ada', mine)
  t.equal(hub.connectionsOf('ada'), 3, 'the replaced connection does not count, although its socket is not closed yet')
  limits.check(clientFrom(ADDRESS), new PassThrough(), ownerOf('ada', mine))
  t.strictSame([second.closeReason, third.closeReason], ['removed', undefined])
  hub.remove(first)
  hub.remove(second)
  t.equal(hub.connectionsOf('ada'), 2, 'it is not subtracted again')
})

test('a client that is refused for its address replaces none of its connections', async (t) => {
  const hub = new Hub()
  const limits = makeLimits({ hub, maxConnectionsPerUser: 1, maxConnectionsPerAddress: 1 })
  limits.check(clientFrom(ADDRESS), new PassThrough())
  const old = connectUser(hub, 'ada', 'the-origin-of-a-tab')
  const check = (): void => { limits.check(clientFrom(ADDRESS), new PassThrough(), ownerOf('ada', old.origin)) }
  t.strictSame(refusalOf(check), REFUSALS[4])
  t.equal(old.ended, false)
})

test('a page of another origin is refused, and a client without an origin is not', async (t) => {
  const limits = makeLimits()
  const check = (origin?: string) => (): void => { limits.check(clientFrom(ADDRESS, origin), new PassThrough()) }
  for (const origin of ['https://evil.example', 'null', '']) t.strictSame(refusalOf(check(origin)), REFUSALS[1], origin)
  check('https://app.example.com')()
  check('https://APP.example.com:443')()
  check()()
  const anyone = makeLimits({ allowedOrigins: '*' })
  for (const origin of ['https://evil.example', 'null', '']) anyone.check(clientFrom(ADDRESS, origin), new PassThrough())
})

test('a recheck finds that the service is draining, the instance is full or the user has enough', async (t) => {
  const hub = new Hub()
  let isDraining = false
  const limits = makeLimits({ hub, maxConnections: 2, maxConnectionsPerUser: 1, isDraining: () => isDraining })
  const recheck = (user: string) => (): void => { limits.recheck(ownerOf(user)) }
  recheck('ada')()
  const ada = connectUser(hub, 'ada')
  recheck('bob')()
  t.strictSame(refusalOf(recheck('ada')), REFUSALS[3])
  const bob = connectUser(hub, 'bob')
  t.strictSame(refusalOf(recheck('eve')), REFUSALS[2])
  t.strictSame(refusalOf(recheck('ada')), REFUSALS[2], 'capacity comes before the user')
  isDraining = true
  t.strictSame(refusalOf(recheck('ada')), REFUSALS[0], 'draining comes before both')
  hub.remove(ada)
  hub.remove(bob)
  t.strictSame(refusalOf(recheck('ada')), REFUSALS[0])
  isDraining = false
  recheck('ada')()
})

test('a recheck does not count the address a second time', async (t) => {
  const limits = makeLimits({ maxConnectionsPerAddress: 2 })
  const check = (): void => { limits.check(clientFrom(ADDRESS), new PassThrough()) }
  check()
  for (let i = 0; i < 5; i++) limits.recheck(ownerOf('ada'))
  check()
  t.strictSame(refusalOf(check), REFUSALS[4])
})

test('an address has as many connections as allowed, and is free again when one of them closes', async (t) => {
  const limits = makeLimits({ maxConnectionsPerAddress: 2 })
  const open = (ip: string): PassThrough => {
    const stream = new PassThrough()
    limits.check(clientFrom(ip), stream)
    return stream
  }
  const refusal = (ip: string): unknown => refusalOf(() => { open(ip) })
  const [one, two] = [open(ADDRESS), open(ADDRESS)]
  t.strictSame(refusal(ADDRESS), REFUSALS[4])
  t.strictSame(refusal(ADDRESS), REFUSALS[4], 'a refusal changes nothing')
  const others = [open('192.0.2.2'), open('2001:db8::1')]
  await close(one)
  const three = open(ADDRESS)
  t.strictSame(refusal(ADDRESS), REFUSALS[4], 'only one was free')
  for (const stream of [two, three, ...others]) await close(stream)
  for (let i = 0; i < 100; i++) await close(open(ADDRESS))
  open(ADDRESS)
  open(ADDRESS)
  t.strictSame(refusal(ADDRESS), REFUSALS[4], 'closing frees an address once')
})

test('a refused client is not counted for its address, and its stream has no listener', async (t) => {
  const hub = new Hub()
  let isDraining = true
  const limits = makeLimits({ hub, maxConnections: 2, maxConnectionsPerUser: 1, maxConnectionsPerAddress: 1, isDraining: () => isDraining })
  const refused = (expected: number, client: Client, user: string): void => {
    const stream = new PassThrough()
    const listeners = stream.listenerCount('close')
    t.strictSame(refusalOf(() => { limits.check(client, stream, ownerOf(user)) }), REFUSALS[expected])
    t.equal(stream.listenerCount('close'), listeners)
  }
  refused(0, clientFrom(ADDRESS), 'ada')
  isDraining = false
  refused(1, clientFrom(ADDRESS, 'https://evil.example'), 'ada')
  connectUser(hub, 'ada')
  refused(3, clientFrom(ADDRESS), 'ada')
  const bob = connectUser(hub, 'bob')
  refused(2, clientFrom(ADDRESS), 'eve')
  hub.remove(bob)
  limits.check(clientFrom(ADDRESS), new PassThrough(), ownerOf('bob'))
  refused(4, clientFrom(ADDRESS), 'bob')
})

test('the address of a client is read only for a limit per address, once, and after all other checks', async (t) => {
  const hub = new Hub()
  connectUser(hub, 'ada')
  const unlimited = makeLimits({ hub, maxConnections: 9, maxConnectionsPerUser: 9 })
  const quick = countReads('https://app.example.com')
  unlimited.check(quick.client, new PassThrough(), ownerOf('ada'))
  await unlimited.checkRate(quick.client)
  t.equal(quick.reads(), 0)

  const limited = makeLimits({ hub, maxConnectionsPerUser: 1, maxConnectionsPerAddress: 1 })
  const full = countReads()
  t.strictSame(refusalOf(() => { limited.check(full.client, new PassThrough(), ownerOf('ada')) }), REFUSALS[3])
  t.equal(full.reads(), 0, 'the refusal was certain without it')
  const stream = new PassThrough()
  limited.check(full.client, stream, ownerOf('bob'))
  t.equal(full.reads(), 1)
  await close(stream) // The kernel does not know the address of a closed socket.
  t.equal(full.reads(), 1)
  limited.check(clientFrom(ADDRESS), new PassThrough(), ownerOf('bob'))
})

test('an address above its rate is refused with the wait that the counter gives', async (t) => {
  const client = clientFrom(ADDRESS)
  const counted: Client[] = []
  const waits = [undefined, 1_500, 0, undefined]
  const limits = makeLimits({ countConnection: async (client) => { counted.push(client); return waits[counted.length - 1] } })
  const refusal = { code: 'rate_limited', message: 'Too many new connections from this address' }
  await limits.checkRate(client)
  await t.rejects(limits.checkRate(client), { ...refusal, retryAfterMs: 1_500 })
  await t.rejects(limits.checkRate(client), { ...refusal, retryAfterMs: 0 })
  await limits.checkRate(client)
  t.ok(counted.length === 4 && counted.every((one) => one === client))
  limits.check(client, new PassThrough(), ownerOf('ada'))
  limits.recheck(ownerOf('ada'))
  t.equal(counted.length, 4, 'the other checks do not count')
})

test('limits without a counter check no rate, and the failure of a counter reaches the caller', async (t) => {
  await makeLimits().checkRate(clientFrom(ADDRESS))
  const failure = new Error('the counter is away')
  await t.rejects(makeLimits({ countConnection: async () => { throw failure } }).checkRate(clientFrom(ADDRESS)), failure)
})
