import type { Random } from '../chaos/random.ts'

/** A frame as plain JSON. */
export type Plain = Record<string, unknown>

/** One valid frame of each type that a service sends. */
export const FRAMES: readonly Plain[] = [
  { type: 'welcome', connection: 'c', origin: 'o', user: 'ada', expiresAt: 1, heartbeatMs: 25_000, rooms: [] },
  { type: 'joined', room: 'lobby', epoch: 'e', offset: 1, audience: 1, recovered: true, missed: 1, id: 1 },
  { type: 'left', room: 'lobby', id: 1, reason: 'removed' },
  { type: 'ack', id: 1, room: 'lobby', epoch: 'e', offset: 1 },
  { type: 'pong', id: 1 },
  { type: 'message', room: 'lobby', epoch: 'e', offset: 1, from: 'bob', time: 1, event: 'an.event', data: { a: 1 } },
  { type: 'message', room: 'lobby', from: 'bob', time: 1, text: 'a text' },
  { type: 'message', room: 'lobby', offset: 2, from: 'bob', time: 1, base64: 'AAEC' },
  { type: 'message', room: 'lobby', offset: 2, from: 'bob', time: 1, binary: 3 },
  { type: 'system', room: 'lobby', event: 'joined', user: 'bob', count: 3, text: 'bob joined' },
  {
    type: 'history',
    id: 1,
    room: 'lobby',
    epoch: 'e',
    offset: 2,
    recovered: true,
    messages: [{ type: 'message', room: 'lobby', offset: 1, from: 'bob', time: 1, base64: 'AAEC' }],
    next: 3
  },
  { type: 'reset', room: 'lobby', epoch: 'f', offset: 1, reason: 'epoch' },
  { type: 'error', code: 'forbidden', text: 'not allowed', retryable: false, retryAfterMs: 10, id: 1 },
  { type: 'shutdown', text: 'going down', retryAfterMs: 10 }
]

/** Names that every object has. */
const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'lobby', 'other', 'message', 'joined']

/** Properties that a frame may have too many. */
const OTHERS = ['id', 'bytes', 'data', 'text', 'binary', 'base64', 'epoch', 'offset', 'extra', '__proto__']

/** A value that is seldom expected. */
export function oddValue (random: Random): unknown {
  return random.pick<() => unknown>([
    () => null,
    () => random.pick([true, false]),
    () => random.pick([0, -1, -0, 0.5, 1, 2, 3, 1e21, 1e300, -1e300, 2 ** 53, 2 ** 31, Number.MAX_SAFE_INTEGER]),
    () => random.pick(['', ' ', '1', 'x', '\ud800', 'a\u0000b', 'x'.repeat(10_000), '====', '%']),
    () => random.pick(NAMES),
    () => [],
    () => ({}),
    () => ({ length: 3 }),
    () => ({ ['__proto__']: { polluted: true } }),
    () => [[null]],
    () => [{ type: 'message' }],
    () => [{ type: 'unknown', room: 'lobby' }],
    () => [{ type: 'message', room: 'lobby', offset: 1, from: 'x', time: 1, base64: '!' }]
  ])()
}

/** A frame with one or more faults, or none; `ids` are the ids of requests that wait for an answer. */
export function oddFrame (random: Random, ids: readonly number[]): Plain {
  const frame: Plain = { ...random.pick(FRAMES) }
  if ('id' in frame) frame.id = random.pick([...ids, ...ids, 0, 1e6, 'text'])
  for (let faults = random.pick([0, 1, 1, 1, 2, 3]); faults > 0; faults--) {
    const name = random.pick([...Object.keys(frame), ...OTHERS])
    const how = random.between(0, 5)
    if (how === 0) Reflect.deleteProperty(frame, name)
    else if (how === 1 && name === 'type') frame.type = random.pick([...FRAMES.map(({ type }) => type), ...NAMES, 'close'])
    else Object.defineProperty(frame, name, { value: oddValue(random), enumerable: true, configurable: true, writable: true })
  }
  return limit(frame)
}

/** Delays are kept short, and final verdicts are left out: a client that obeys them would end the run. */
function limit (frame: Plain): Plain {
  if (Number(frame.retryAfterMs) > 20) frame.retryAfterMs = 20
  if (frame.type === 'close' && (frame.code === 1000 || Number(frame.code) >= 4001)) frame.code = 'x'
  return frame
}

/** A text that is no frame, or the text of an odd frame. */
export function oddText (random: Random, ids: readonly number[]): string {
  const text = JSON.stringify(oddFrame(random, ids))
  return random.pick<() => string>([
    () => text,
    () => text,
    () => text,
    () => text,
    () => text,
    () => text.slice(0, random.between(0, text.length)),
    () => `[${text}]`,
    () => JSON.stringify(oddValue(random)),
    () => `${'['.repeat(5_000)}${']'.repeat(5_000)}`,
    () => `{"type":"message","room":"lobby","from":"x","time":1,"data":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`,
    () => random.pick(['', '\0', 'null', '<html>', 'NaN', '{}', '{"type":null}', '{"type":"message","__proto__":{"room":"lobby"}}'])
  ])()
}
