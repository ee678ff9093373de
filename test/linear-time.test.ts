import type { IncomingMessage } from 'node:http'
import { test } from 'tap'
import { findToken } from '../src/auth/find-token.ts'
import { isOriginAllowed, readOrigins } from '../src/auth/origins.ts'
import { readHandshake } from '../src/connections/handshake.ts'
import { maskTokens } from '../src/log.ts'
import { isEvent, isKey, isOrigin, isRoomName } from '../src/protocol/names.ts'
import { parsePosition } from '../src/protocol/position.ts'
import { readProtocols } from '../src/protocol/subprotocol.ts'
import { withoutPassword } from '../src/redis/url.ts'
import { growthOf } from './support/growth.ts'

/** Parts that expressions for tokens, paths, lists and addresses look for, and that almost match. */
const PARTS = [
  'a', 'eyJ', 'eyJa-', 'eyJa.', 'eyJa.eyJ-', '.', '-', ' ', '=', '?', '&', '/', ':', ',', ';', '%', '%74', '?token', '&token=',
  '?token=&', '@', '://', '*', '\\', '"', '\t', 'Bearer ', 'bearer.', 'a:', '0', '\u0000', '\ud800', '💥'
]
/** How a text may end, so that an expression fails at its end. */
const ENDS = ['', '!', '@']

const allowed = readOrigins(['https://app.example.com'])
const sources = { rawHeaders: [], protocols: [], query: undefined, cookie: undefined }
const HANDSHAKE = { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13' }
const requestOf = (headers: Record<string, string>) => ({ headers: { ...HANDSHAKE, ...headers } }) as unknown as IncomingMessage

/** Every function that reads text from outside before the client is known, or with a regular expression. */
const READERS: Record<string, (text: string) => unknown> = {
  maskTokens,
  isRoomName,
  isEvent,
  isKey,
  isOrigin,
  parsePosition,
  readProtocols,
  withoutPassword,
  isOriginAllowed: (text) => isOriginAllowed(allowed, text),
  'an origin with a port': (text) => isOriginAllowed(allowed, `https://${text}`),
  Authorization: (text) => findToken({ ...sources, rawHeaders: ['Authorization', text] }, 'session'),
  Bearer: (text) => findToken({ ...sources, rawHeaders: ['Authorization', `Bearer ${text}`] }, 'session'),
  Cookie: (text) => findToken({ ...sources, cookie: text }, 'session'),
  'Sec-WebSocket-Key': (text) => readHandshake(requestOf({ 'sec-websocket-key': text }), {}),
  'Sec-WebSocket-Protocol': (text) => readHandshake(requestOf({ 'sec-websocket-protocol': text }), {}),
  'the parameters of a handshake': (text) => readHandshake(requestOf({}), { room: text, since: text, origin: text })
}

for (const [name, read] of Object.entries(READERS)) {
  test(`${name} takes linear time, whatever the text`, async (t) => {
    let worst = { growth: 0, text: '' }
    for (const part of PARTS) {
      for (const end of ENDS) {
        const growth = growthOf(read, (size) => part.repeat(Math.ceil(size / part.length)) + end)
        if (growth > worst.growth) worst = { growth, text: JSON.stringify(part) + (end === '' ? '' : ` … ${JSON.stringify(end)}`) }
      }
    }
    t.ok(worst.growth <= 16, `${worst.growth.toFixed(1)} times for 8 times the text: ${worst.text}`)
  })
}

test('the measurement sees quadratic time', async (t) => {
  // eslint-disable-next-line prefer-regex-literals
  const quadratic = new RegExp('\\beyJ[\\w-]+\\.eyJ', 'g')
  t.ok(growthOf((text: string) => text.replace(quadratic, ''), (size) => 'eyJa-'.repeat(size / 5)) > 32)
})
