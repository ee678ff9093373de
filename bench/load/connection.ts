import { connect, type Socket } from 'node:net'
import { encodeFrame, OPCODE } from './frame.ts'
import type { Protocol, Step } from './options.ts'
import type { Receiver } from './receiver.ts'

const HEAD_END = '\r\n\r\n'

export interface ConnectionOptions {
  protocol: Protocol
  port: number
  receiver: Receiver
  /** Whether what it gets counts. */
  counted: boolean
  /** Puts what is this connection's into a template. */
  fill: (template: string) => string
  /** What is sent, and answered, before it is in its rooms. */
  steps: Step[]
  localAddress?: string | undefined
  onJoined: () => void
  /** It could not be opened, or ended. */
  onEnd: (why: string) => void
}

/** One member's WebSocket, over plain TCP: the frames are what `Receiver` sees in them. */
export class Connection {
  readonly socket: Socket
  readonly counted: boolean
  /** What has come of a frame that is not complete. */
  carry: Buffer = Buffer.alloc(0)
  /** It looks at frames in which there is no marker. */
  expectsText: boolean
  readonly #options: ConnectionOptions
  #isUpgraded = false
  #step = -1
  #ended = false

  constructor (options: ConnectionOptions) {
    const { port, receiver, localAddress, counted, onEnd } = options
    this.#options = options
    this.counted = counted
    this.expectsText = true
    this.socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      ...(localAddress !== undefined && { localAddress }),
      // One piece of memory for all of them, and no stream in between: it is dealt with before anything else is read.
      onread: {
        buffer: receiver.chunk,
        callback: (bytes) => {
          if (this.#isUpgraded) receiver.read(this, bytes)
          else this.#readHead(bytes)
          return true
        }
      }
    })
    const end = (why: string): void => {
      if (this.#ended) return
      this.#ended = true
      this.socket.destroy()
      onEnd(why)
    }
    this.socket.once('connect', () => { this.#upgrade() })
    this.socket.once('error', (error) => { end(error.message) })
    this.socket.once('end', () => { end('ended by the server') })
    this.socket.once('close', () => { end('closed') })
  }

  /** Leaves without a trace: thousands that wait for TIME_WAIT would be in the way of the next. */
  reset (): void {
    this.#ended = true
    this.socket.resetAndDestroy()
  }

  send (opcode: number, payload: string | Buffer): void {
    this.socket.write(encodeFrame(opcode, payload))
  }

  /** Takes a frame that is no delivery. */
  take (opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.ping) this.send(OPCODE.pong, payload)
    else if (opcode === OPCODE.close) this.socket.end()
    if (opcode > OPCODE.binary) return
    const { protocol: { reply }, steps, fill } = this.#options
    const answer = reply === undefined || payload.length > 16 ? undefined : reply[payload.toString()]
    if (answer !== undefined) this.send(this.#opcode, answer)
    const step = steps[this.#step]
    if (step !== undefined && payload.includes(fill(step.until))) this.#next()
  }

  get #opcode (): number {
    return this.#options.protocol.binary === true ? OPCODE.binary : OPCODE.text
  }

  #upgrade (): void {
    const { protocol, fill, port } = this.#options
    this.socket.write(`GET ${fill(protocol.path)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n')
  }

  #readHead (bytes: number): void {
    const { receiver, onEnd } = this.#options
    const head = Buffer.concat([this.carry, receiver.chunk.subarray(0, bytes)])
    const end = head.indexOf(HEAD_END)
    this.carry = head
    if (end === -1) return
    if (!head.toString('latin1').startsWith('HTTP/1.1 101')) {
      this.reset()
      onEnd(`refused: ${head.toString('latin1').slice(0, 300)}`)
      return
    }
    this.#isUpgraded = true
    this.carry = Buffer.from(head.subarray(end + HEAD_END.length))
    this.#next()
    if (this.carry.length > 0) receiver.read(this, 0)
  }

  #next (): void {
    const { steps, fill, onJoined, protocol } = this.#options
    const step = steps[++this.#step]
    if (step !== undefined) {
      this.send(this.#opcode, fill(step.send))
      return
    }
    this.expectsText = protocol.reply !== undefined
    onJoined()
  }
}
