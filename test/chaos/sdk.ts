import { WebSocket } from 'ws'
import { systemClock } from '../../client/clock.ts'
import { type Client, connect } from '../../client/node.ts'
import { DisturbedClock } from '../support/disturbed-clock.ts'
import { makeToken } from '../support/token.ts'
import type { Random } from './random.ts'

/** Where the SDK believes the service to be; each connection goes to one of the instances. */
const SERVICE = 'http://service.test'
/** A handshake with an instance that is frozen, ms. */
const HANDSHAKE_MS = 2_000

/** A client of the SDK, its clock, and a function that breaks its connection as the network does. */
export interface SdkClient {
  client: Client
  clock: DisturbedClock
  drop: () => void
}

/** Connects the SDK to whichever instance. */
export function connectSdk (
  claims: Record<string, unknown>,
  urls: string[],
  random: Random,
  transports: readonly ('websocket' | 'events')[]
): SdkClient {
  let ws: WebSocket | undefined
  let stream = new AbortController()
  const elsewhere = (url: string): string =>
    url.replace(/^\w+:\/\/service\.test/, (origin) => random.pick(urls).replace('http', origin.startsWith('ws') ? 'ws' : 'http'))
  class SomeInstance extends WebSocket {
    constructor (url: string, protocols: string[]) {
      super(elsewhere(url), protocols, { handshakeTimeout: HANDSHAKE_MS })
      ws = this
    }
  }
  const clock = new DisturbedClock(systemClock)
  const client = connect({
    url: SERVICE,
    clock,
    token: () => makeToken(claims),
    transports,
    WebSocket: SomeInstance as never,
    fetch: async (input, init) =>
      await fetch(elsewhere(String(input)), { ...init, signal: AbortSignal.any([stream.signal, ...(init?.signal ? [init.signal] : [])]) })
  })
  return {
    client,
    clock,
    drop () {
      ws?.terminate()
      stream.abort()
      stream = new AbortController()
    }
  }
}
