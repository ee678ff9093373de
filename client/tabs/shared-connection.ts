import { CLOSE_CODES } from '../../src/protocol/close-codes.ts'
import type { ClientFrame, ClientFrames, FrameId, ServerFrame, ServerFrames } from '../../src/protocol/frames.ts'
import { SharedRooms } from './shared-rooms.ts'
import type { TabListener, TabSocket } from './tab-socket.ts'
import { Watch } from './watch.ts'

/** The longest wait for the welcome, ms. */
const WELCOME_MS = 10_000
/** The longest wait for an answer before a new tab takes part, and after a change of network, ms. */
const QUICK_ANSWER_MS = 5_000
const OPEN = 1
/** "Service restart": the connection ended because of another tab. */
const RECONNECT = 1012

/** A frame without an answer. */
interface Request {
  /** Undefined for a frame of the worker. */
  socket: TabSocket | undefined
  /** The id that the tab gave it. */
  id: FrameId | undefined
  frame: ClientFrame
  size: number
}

/** A frame that answers another one. */
type Answer = Extract<ServerFrame, { id?: FrameId }>

/**
 * One WebSocket for several tabs. Each tab has its own rooms, ids and missed messages, as if the connection were its own.
 *
 * The connection opens with the token of the first tab, and ends with the last tab.
 */
export class SharedConnection implements TabListener {
  readonly #ws: WebSocket
  readonly #token: string
  readonly #onOver: () => void
  readonly #sockets = new Set<TabSocket>()
  /** The tabs without a welcome. */
  readonly #waiting = new Set<TabSocket>()
  readonly #requests = new Map<number, Request>()
  readonly #rooms = new SharedRooms((room) => { this.#request(undefined, { type: 'leave', room }) })
  readonly #welcomeTimer: ReturnType<typeof setTimeout>
  readonly #onNetwork = (): void => { this.#watch?.ask(QUICK_ANSWER_MS) }
  #watch: Watch | undefined
  #welcome: ServerFrames['welcome'] | undefined
  #shutdown: string | undefined
  /** A binary message whose payload is next. */
  #header: { text: string, frame: ServerFrames['message'] } | undefined
  #lastId = 0

  /** @param onOver called when the connection takes no more tabs */
  constructor (url: string, token: string, protocols: string[], onOver: () => void) {
    this.#token = token
    this.#onOver = onOver
    const ws = this.#ws = new WebSocket(url, protocols)
    ws.binaryType = 'arraybuffer'
    ws.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => { this.#onMessage(data) }
    ws.onclose = ({ code }) => { this.#end(code) }
    this.#welcomeTimer = setTimeout(() => { this.#end(1006) }, WELCOME_MS)
    addEventListener('online', this.#onNetwork)
    addEventListener('offline', this.#onNetwork)
  }

  /** Takes a tab. Its welcome comes when the connection has proved that it is alive. */
  add (socket: TabSocket): void {
    this.#sockets.add(socket)
    this.#waiting.add(socket)
    this.#watch?.ask(QUICK_ANSWER_MS)
  }

  onFrame (socket: TabSocket, frame: ClientFrame, bytes?: ArrayBuffer): void {
    if (frame.type === 'join') this.#rooms.of(frame.room).wanted.add(socket)
    if (frame.type !== 'leave' || this.#isLast(socket, frame)) this.#request(socket, frame, bytes)
  }

  onEnd (socket: TabSocket): void {
    this.#waiting.delete(socket)
    if (!this.#sockets.delete(socket)) return
    if (this.#sockets.size === 0) this.#end(CLOSE_CODES.normal)
    else this.#rooms.remove(socket)
  }

  /** Whether the connection has to leave the room with this tab. Otherwise the tab has its answer. */
  #isLast (socket: TabSocket, { room: name, id }: ClientFrames['leave']): boolean {
    if (name.startsWith('@')) return true // The service refuses it.
    const room = this.#rooms.of(name)
    socket.filter(name)?.onLeft()
    if (!room.wanted.delete(socket)) {
      const text = `Not a member of ${name}`
      socket.send(JSON.stringify({ type: 'error', code: 'not_joined', text, retryable: false, id } satisfies ServerFrame))
      this.#rooms.tidy(name)
      return false
    }
    if (room.wanted.size === 0) return true
    room.members.delete(socket)
    socket.send(JSON.stringify({ type: 'left', room: name, id } satisfies ServerFrame))
    return false
  }

  #request (socket: TabSocket | undefined, frame: ClientFrame, bytes?: ArrayBuffer): void {
    if (this.#ws.readyState !== OPEN) return
    const id = ++this.#lastId
    const sent = { ...frame, id }
    if (sent.type === 'publish' && sent.echo === false && sent.room !== undefined) {
      delete sent.echo // The other tabs receive the message.
      socket?.makeFilter(sent.room).expect(id, sent.key, contentOf(sent.event, sent.data, bytes))
    }
    const json = JSON.stringify(sent)
    this.#requests.set(id, { socket, id: frame.id, frame, size: bytes?.byteLength ?? json.length })
    this.#ws.send(json)
    if (bytes !== undefined) this.#ws.send(bytes)
  }

  #onMessage (data: string | ArrayBuffer): void {
    if (typeof data !== 'string') {
      const header = this.#header
      this.#header = undefined
      if (header !== undefined) this.#onRoomMessage(header.text, header.frame, data)
    } else {
      const frame: ServerFrame = JSON.parse(data)
      if (frame.type === 'message' && frame.binary !== undefined) this.#header = { text: data, frame }
      else this.#onFrame(data, frame)
    }
    this.#watch?.hear()
    if (this.#welcome === undefined || this.#waiting.size === 0) return
    const welcome = JSON.stringify(this.#welcome)
    for (const socket of this.#waiting) {
      socket.open(welcome)
      if (this.#shutdown !== undefined) socket.send(this.#shutdown)
    }
    this.#waiting.clear()
  }

  #onFrame (text: string, frame: ServerFrame): void {
    if ('id' in frame && frame.id !== undefined) this.#onAnswer(frame)
    else if (frame.type === 'welcome') this.#onWelcome(frame)
    else if (frame.type === 'message') this.#onRoomMessage(text, frame)
    else if ('room' in frame) {
      this.#rooms.onFrame(frame)
      const receivers = this.#receiversIn(frame.room)
      if (frame.type === 'left') this.#rooms.removeAll(frame.room)
      for (const socket of receivers) sendInOrder(socket, frame.room, text)
    } else {
      if (frame.type === 'shutdown') this.#shutdown = text
      for (const socket of this.#openSockets()) socket.send(text)
    }
  }

  #onWelcome (welcome: ServerFrames['welcome']): void {
    clearTimeout(this.#welcomeTimer)
    this.#welcome = welcome
    this.#watch = new Watch(
      welcome.heartbeatMs,
      () => { this.#request(undefined, { type: 'ping' }) },
      () => { this.#end(CLOSE_CODES.noHeartbeat) }
    )
  }

  #onRoomMessage (text: string, frame: ServerFrames['message'], bytes?: ArrayBuffer): void {
    const { room: name, event, data, from, offset } = frame
    const room = this.#rooms.of(name)
    const position = room.positionOf({ offset })
    const content = (): string | undefined => from === this.#welcome?.user ? contentOf(event, data, bytes) : undefined
    this.#moveWelcome(name, offset)
    for (const socket of room.nextReceivers(this.#receiversIn(name))) {
      const send = (): void => { socket.send(text, bytes) }
      const filter = socket.filter(name)
      if (filter === undefined) send()
      else filter.takeMessage({ content, position }, send)
    }
  }

  #onAnswer (frame: Answer): void {
    const id = Number(frame.id)
    const request = this.#requests.get(id)
    if (request === undefined) return
    this.#requests.delete(id)
    const { socket, frame: asked } = request
    if (asked.type === 'join') this.#rooms.onJoinAnswer(socket, asked, frame)
    if (asked.type === 'leave') this.#rooms.onLeaveAnswer(socket, asked, frame)
    if (socket === undefined || !socket.isOpen) return
    const room = 'room' in asked ? asked.room : undefined
    if (asked.type === 'publish' && room !== undefined) {
      const filter = socket.filter(room)
      if (frame.type === 'ack') filter?.onAck(id, this.#rooms.of(room).positionOf(frame))
      else if (frame.type === 'error') filter?.onError(id, frame.retryable)
      if (frame.type === 'ack' && request.id === undefined) return
    }
    sendInOrder(socket, room, JSON.stringify({ ...frame, id: request.id }))
  }

  /** The position of an automatic room in the welcome of later tabs. */
  #moveWelcome (name: string, offset: number | undefined): void {
    if (!name.startsWith('@') || offset === undefined) return
    const room = this.#welcome?.rooms.find(({ room }) => room === name)
    if (room?.offset !== undefined) room.offset = Math.max(room.offset, offset)
  }

  /** The tabs in a room; all tabs in an automatic one. */
  #receiversIn (room: string): TabSocket[] {
    return room.startsWith('@') ? this.#openSockets() : [...this.#rooms.of(room).members]
  }

  #openSockets (): TabSocket[] {
    return [...this.#sockets].filter((socket) => !this.#waiting.has(socket))
  }

  #end (code: number): void {
    this.#ws.onmessage = this.#ws.onclose = null
    this.#ws.close(1000)
    clearTimeout(this.#welcomeTimer)
    this.#watch?.stop()
    removeEventListener('online', this.#onNetwork)
    removeEventListener('offline', this.#onNetwork)
    this.#onOver()
    const isOwnEnd = this.#ownerOfEnd(code)
    const sockets = [...this.#sockets]
    this.#sockets.clear()
    for (const socket of sockets) socket.close(isOwnEnd(socket) ? code : RECONNECT)
  }

  /** The tabs that a close code concerns: those with the refused token, the one with the largest frame, or all. */
  #ownerOfEnd (code: number): (socket: TabSocket) => boolean {
    if (code === CLOSE_CODES.unauthorized) return ({ token }) => token === this.#token
    if (code !== CLOSE_CODES.tooBig) return () => true
    const [largest] = [...this.#requests.values()].sort((a, b) => b.size - a.size)
    return (socket) => socket === largest?.socket
  }
}

/** Identifies the content of a message among those of one user. */
function contentOf (event: string | undefined, data: unknown, bytes: ArrayBuffer | undefined): string {
  return JSON.stringify([event, bytes === undefined ? data : String(new Uint8Array(bytes)), bytes === undefined])
}

/** Sends a frame about a room behind those that wait there. */
function sendInOrder (socket: TabSocket, room: string | undefined, text: string): void {
  const filter = room === undefined ? undefined : socket.filter(room)
  if (filter === undefined) socket.send(text)
  else filter.take(() => { socket.send(text) })
}
