import type { IncomingMessage } from 'node:http'
import { RoomcastError } from '../errors.ts'
import { isOrigin, isRoomName, ROOM_RULE } from '../protocol/names.ts'
import { parsePosition, type Position } from '../protocol/position.ts'
import { readBearerEntry, readProtocols, SUBPROTOCOL } from '../protocol/subprotocol.ts'

/** RFC 6455, section 4.1: 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/
/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** The parameters of a URL, parsed. */
export type Query = Readonly<Record<string, string | string[] | undefined>>

/** A client's request for a WebSocket, parsed once. */
export interface Handshake {
  /** The offered subprotocols. */
  readonly protocols: readonly string[]
  /** The value or values of `?token=`. */
  readonly token: string | string[] | undefined
  /** The rooms to join, each once. */
  readonly rooms: readonly string[]
  /** The position in the only room up to which the client has the messages. */
  readonly since: Position | undefined
  /** The client's own name across its connections. */
  readonly origin: string | undefined
}

/** A request that is no valid WebSocket handshake (RFC 6455, section 4.2.1). ws would answer it in HTML. */
export class InvalidHandshake extends RoomcastError {
  constructor (detail: string) {
    super('invalid_request', detail)
  }
}

/** Reads a handshake; throws `InvalidHandshake`, `invalid_room` or `invalid_request`. */
export function readHandshake ({ headers }: IncomingMessage, { token, room, since, origin }: Query): Handshake {
  const version = headers['sec-websocket-version']
  const key = headers['sec-websocket-key']
  const protocols = readProtocols(headers['sec-websocket-protocol'])
  if (key === undefined || !KEY.test(key)) throw new InvalidHandshake('Missing or invalid Sec-WebSocket-Key header')
  if (version !== '13' && version !== '8') throw new InvalidHandshake('Missing or invalid Sec-WebSocket-Version header')
  if (!protocols.every((protocol) => TOKEN.test(protocol)) || new Set(protocols).size < protocols.length) {
    throw new InvalidHandshake('Invalid Sec-WebSocket-Protocol header')
  }
  if (protocols.length > 0 && protocols.every((protocol) => readBearerEntry(protocol) !== undefined)) {
    const reason = 'a browser closes a connection that selects none'
    throw new RoomcastError('invalid_request', `Offer the subprotocol ${SUBPROTOCOL} beside the token: ${reason}`)
  }
  const rooms = [...new Set(room === undefined ? [] : [room].flat())]
  if (!rooms.every(isRoomName)) throw new RoomcastError('invalid_room', ROOM_RULE)
  if (origin !== undefined && !isOrigin(origin)) {
    throw new RoomcastError('invalid_request', 'The origin has to be 16–64 of the characters A–Z a–z 0–9 _ -')
  }
  if (since !== undefined && rooms.length !== 1) throw new RoomcastError('invalid_request', 'since goes with exactly one room')
  return { protocols, token, rooms, since: since === undefined ? undefined : readSince(since), origin }
}

/**
 * Removes the offers that ws must not negotiate. ws would echo the first subprotocol, which may be the token. Frames bypass
 * ws, so they are never compressed.
 */
export function narrowOffer ({ headers }: IncomingMessage, { protocols }: Handshake): void {
  if (protocols.includes(SUBPROTOCOL)) headers['sec-websocket-protocol'] = SUBPROTOCOL
  else delete headers['sec-websocket-protocol']
  delete headers['sec-websocket-extensions']
}

function readSince (text: string | string[]): Position {
  const position = typeof text === 'string' ? parsePosition(text) : undefined
  if (position === undefined) throw new RoomcastError('invalid_request', 'since has to be <epoch>:<offset>')
  return position
}
