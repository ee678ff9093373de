import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { runInNewContext } from 'node:vm'
import { type Test, test } from 'tap'
import { toPayload } from '../../client/payload.ts'
import { createPublisher, type Publisher, RoomcastError } from '../../client/publisher/index.ts'
import { toPlainJson } from '../../src/rooms/plain-json.ts'
import { Random } from '../chaos/random.ts'

const VALUES = Number(process.env.FUZZ_VALUES ?? 20_000)
const CONSTRUCTORS = [
  Uint8Array, Int8Array, Uint8ClampedArray, Uint16Array, Int32Array, Float32Array, Float64Array, BigInt64Array, DataView
] as const

class Point { x = 1; #y = 2; get sum (): number { return this.x + this.#y } }
class Named extends Map { name = 'a map' }

function revoked (): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

function detached (): Uint8Array {
  const bytes = new Uint8Array(8)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

function always<T> (value: T): () => T {
  return () => value
}

function throws (thrown: unknown): () => never {
  return () => { throw thrown }
}

/** Bytes of a kind, in the middle of a larger buffer. */
function bytesOf (random: Random): ArrayBufferView | ArrayBufferLike {
  const buffer = random.pick([new ArrayBuffer(64), new SharedArrayBuffer(64)])
  new Uint8Array(buffer).forEach((_, i, all) => { all[i] = random.between(0, 255) })
  const View = random.pick<new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView>(CONSTRUCTORS)
  const view = new View(buffer as ArrayBuffer, 8 * random.between(0, 3), random.between(0, 4))
  return random.pick<() => ArrayBufferView | ArrayBufferLike>([
    () => view,
    () => buffer,
    () => buffer.slice(0, 0),
    () => Buffer.from('a text').subarray(2, 4),
    () => new Uint8Array(),
    () => runInNewContext('new Uint8Array([1, 2]).buffer') as ArrayBuffer
  ])()
}

/** A value of any kind, nested. */
function valueOf (random: Random, depth: number): unknown {
  const inner = (): unknown => valueOf(random, depth - 1)
  const simple: (() => unknown)[] = [
    () => null, () => undefined, () => true, () => 1, () => -0, () => 0.1, () => NaN, () => Infinity, () => 'text', () => '\ud800',
    () => 10n, () => Symbol('s'), () => () => 1, () => new Date(0), () => new Date(NaN), () => new Map([[1, 2]]),
    () => new Set([1]), () => new Named(), () => /x/g, () => new Error('e'), () => Object.assign(new Error('e'),
      { code: 'E' }), () => Promise.resolve(1),
    () => new WeakMap(), () => new Point(), () => Object(1), () => Object(NaN), () => Object('s'), () => Object(false),
    () => Object(1n), () => Object(Symbol('s')), () => Object.create(null), () => new URLSearchParams('a=1'), () => new URL('http://a/'),
    () => ({ [Symbol('s')]: 1 }), () => Array(2), () => new Array(3),
    () => ({ toJSON: () => undefined }), () => ({ toJSON: throws(null) }), () => ({ get a () { return throws(Object.create(null))() } }),
    () => ({ [Symbol.toStringTag]: 'ArrayBuffer' }), () => ({ [Symbol.toStringTag]: 'Map', a: 1 }),
    () => ({ get [Symbol.toStringTag] () { return throws(undefined)() } }),
    revoked, detached, () => detached().buffer, () => new Proxy([1], {}), () => new Proxy({ a: 1 }, { ownKeys: throws(1) }),
    () => bytesOf(random), () => { const a: unknown[] = []; a.push(a); return a }, () => JSON.parse('{"__proto__":{"a":1}}')
  ]
  if (depth === 0 || random.between(0, 2) > 0) return random.pick(simple)()
  return random.pick<() => unknown>([
    () => [inner(), inner()],
    () => ({ a: inner(), b: inner() }),
    () => ({ toJSON: always(inner()) }),
    () => ({ get a () { return 1 }, b: inner() }),
    () => Object.assign(() => 1, { toJSON: always(inner()) })
  ])()
}

/** What a value stands for: its bytes, its JSON, or nothing. */
function expected (value: unknown): { bytes?: string, json?: string | undefined } {
  if (ArrayBuffer.isView(value)) return { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex') }
  try {
    return { bytes: Buffer.from(new Uint8Array(value as ArrayBuffer).subarray()).toString('hex'), json: JSON.stringify(value) }
  } catch {
    return { json: JSON.stringify(value) }
  }
}

test('any value is sent as it is, or refused before anything is sent', (t) => {
  const random = new Random(Number(process.env.SEED ?? 1))
  const wrong = new Set<string>()
  const counts = { bytes: 0, json: 0, refused: 0 }
  for (let i = 0; i < VALUES; i++) {
    const value = valueOf(random, 2)
    try {
      const { json, bytes } = toPayload(value)
      counts[bytes === undefined ? 'json' : 'bytes']++
      if (bytes === undefined ? json !== expected(value).json : Buffer.from(bytes).toString('hex') !== expected(value).bytes) {
        wrong.add(`sent as ${json ?? 'bytes'}`)
      }
    } catch (error) {
      counts.refused++
      if (!(error instanceof RoomcastError) || error.code !== 'invalid_request') wrong.add(String(error))
    }
  }
  t.strictSame([...wrong], [])
  t.ok(Object.values(counts).every((count) => count > VALUES / 200), JSON.stringify(counts))
  t.end()
})

const LOST: readonly unknown[] = [
  undefined, NaN, [NaN], { a: -Infinity }, [undefined], Array(2), Symbol('s'), () => 1,
  { a () {} }, 1n,
  new Map([[1, 2]]), new Named(), new Set(), new WeakMap(), /x/, new Error('e'), Object.assign(new Error('e'),
    { code: 'E' }), Promise.resolve(1),
  { a: [new Map()] }, { toJSON: () => undefined }, { a: [{ toJSON: () => undefined }] }, Object(NaN), { a: Object(Infinity) },
  { a: new Uint8Array(1) }, new URLSearchParams('a=1'), new WeakRef({}), { [Symbol.toStringTag]: 'ArrayBuffer', toJSON: () => new Map() }
]
const KEPT: readonly unknown[] = [
  null, 0, -0, '', {}, [], { a: undefined }, new Point(), new Date(0), Object.create(null), Object('s'), [Object(true)],
  { toJSON: () => 1 }, new URL('http://a/'), { nested: { __proto__: null, a: [1] } }
]

test('values that JSON would lose are refused, and the server has the same rule', (t) => {
  const serverTakes = (value: unknown): boolean => {
    try {
      return toPlainJson(value, 100) !== undefined
    } catch {
      return false
    }
  }
  const differences: string[] = []
  for (const [values, kept] of [[LOST, false], [KEPT, true]] as const) {
    for (const [i, value] of values.entries()) {
      const name = `${kept ? 'kept' : 'lost'} ${i}`
      if (kept) t.equal(toPayload(value).json, JSON.stringify(value), name)
      else t.throws(() => toPayload(value), { code: 'invalid_request' }, name)
      if (serverTakes(value) !== kept) differences.push(`${name}: ${Object.prototype.toString.call(value)}`)
    }
  }
  t.comment(`the server differs in: ${differences.join('; ')}`)
  t.end()
})

/** A publisher, and the bodies that arrive. */
async function startPublisher (t: Test): Promise<{ publisher: Publisher, bodies: Buffer[] }> {
  const bodies: Buffer[] = []
  const server = createServer((request, response) => {
    void request.toArray().then((chunks: Buffer[]) => {
      const body = Buffer.concat(chunks)
      bodies.push(body)
      const published = { room: 'r', time: 1, audience: 1 }
      const { messages } = request.url === '/v1/messages' ? JSON.parse(String(body)) as { messages: unknown[] } : { messages: [] }
      response.end(JSON.stringify(request.url === '/v1/messages' ? { results: messages.map(() => published) } : published))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close(); server.closeAllConnections() })
  return { publisher: createPublisher({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: 't' }), bodies }
}

test('a publisher has the same rule', async (t) => {
  const { publisher, bodies } = await startPublisher(t)
  for (const data of LOST) {
    await t.rejects(publisher.publish('r', { data }), { name: 'RoomcastError', code: 'invalid_request' })
    t.match(await publisher.batch([{ room: 'r', data }]), [{ name: 'RoomcastError', code: 'invalid_request' }])
  }
  const random = new Random(2)
  for (const bytes of [revoked(), detached(), { [Symbol.toStringTag]: 'ArrayBuffer' }, 1, 'text', [1]] as Uint8Array[]) {
    await t.rejects(publisher.publish('r', { bytes }), { code: 'invalid_request' })
    t.match(await publisher.batch([{ room: 'r', bytes }]), [{ code: 'invalid_request' }])
  }
  t.strictSame(bodies, [], 'nothing was sent')
  for (const data of KEPT) {
    await publisher.publish('r', { data })
    t.equal(String(bodies.pop()), `{"data":${JSON.stringify(data)}}`)
    await publisher.batch([{ room: 'r', data }])
    t.match(String(bodies.pop()), `{"messages":[{"data":${JSON.stringify(data)},`)
  }
  for (let i = 0; i < 200; i++) {
    const bytes = bytesOf(random)
    await publisher.publish('r', { bytes })
    t.equal(bodies.pop()?.toString('hex'), expected(bytes).bytes)
    await publisher.batch([{ room: 'r', bytes }])
    const { messages: [{ base64 }] } = JSON.parse(String(bodies.pop())) as { messages: [{ base64: string }] }
    t.equal(Buffer.from(base64, 'base64').toString('hex'), expected(bytes).bytes)
  }
})
