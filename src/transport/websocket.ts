import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { CLOSE_CODES, CLOSE_TEXTS, type CloseReason } from '../protocol/close-codes.ts'
import type { Batch } from './batch.ts'
import { drained } from './drained.ts'
import type { Transport } from './transport.ts'
import { PING, textFrame } from './websocket-frame.ts'
import { hasUnfinishedMessage } from './ws-internals.ts'

/**
 * The transport over WebSocket. Data frames go straight to the TCP socket: one frame is built for all members
 * of a room, and ws would build a header for each. ws does the rest (reading, control frames, closing).
 * It is correct only while permessage-deflate is off.
 */
export class WebSocketTransport implements Transport {
  readonly answers = true
  readonly #ws: WebSocket
  readonly #socket: Duplex

  constructor (ws: WebSocket, socket: Duplex) {
    this.#ws = ws
    this.#socket = socket
  }

  get kind () {
    return 'websocket' as const
  }

  get open (): boolean {
    return this.#ws.readyState === 1 // OPEN: no close frame was sent or received (RFC 6455, section 5.5.1: nothing after it)
  }

  get queued (): number {
    return this.#socket.writableLength
  }

  get unfinished (): boolean {
    return hasUnfinishedMessage(this.#ws)
  }

  write (batch: Batch): void {
    if (this.#ws.readyState === 1) this.#socket.write(batch.websocket)
  }

  /** Does nothing: no frame carries a position alone. */
  skipTo (): void {}

  send (_type: string, json: string): void {
    if (this.#ws.readyState === 1) this.#socket.write(textFrame(json))
  }

  ping (): void {
    if (this.#ws.readyState === 1) this.#socket.write(PING)
  }

  async drained (): Promise<void> {
    await drained(this.#socket)
  }

  close (reason: CloseReason): void {
    this.#ws.close(CLOSE_CODES[reason], CLOSE_TEXTS[reason])
  }

  terminate (): void {
    this.#ws.terminate()
  }
}
