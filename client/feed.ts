import type { ServerFrames } from '../src/protocol/frames.ts'
import type { Clock } from './clock.ts'
import { RoomcastError, toCause } from './errors.ts'
import { type HistoryOptions, type Message, type MessageFrame, toMessage } from './message.ts'
import { invalid } from './payload.ts'
import { isPosition, type Position, toPosition } from './position.ts'
import { Progress } from './progress.ts'
import type { Joined, Load } from './room-events.ts'
import type { RoomListeners } from './room-listeners.ts'

/** The maximum of messages that wait for the application's state. */
const MAX_HELD = 10_000
/** The wait before another attempt to load the code that loads the application's state, ms. */
const RETRY_MS = 1_000

/** The parts of a room that its feed uses. */
export interface FeedOptions<Data> {
  room: string
  clock: Clock
  listeners: RoomListeners<Data>
  onMessage: (message: Message<Data>) => void
  onJoined: (joined: Joined) => void
  readHistory: (options: HistoryOptions) => Promise<ServerFrames['history']>
  /** The room must be joined again, from `since`. */
  rejoin: () => void
  /** The application's state is loaded. */
  onLoaded: () => void
  report: (error: RoomcastError) => void
}

/** Messages that the client has read from the history, because the service sends one page at most. */
interface CaughtUp { messages: MessageFrame[], to: Position }

/** The messages of a room in their order: each exactly once, after those that were missed, and after the application's state. */
export class Feed<Data> {
  readonly #options: FeedOptions<Data>
  readonly #progress = new Progress()
  /** The next join is a resume. */
  #isResume = false
  #caughtUp: CaughtUp | undefined
  /** Counts the links and the joins: a read of an earlier one has no effect. */
  #turn = 0
  /** The last read of missed messages had no answer in time. */
  #isLate = false
  #load: Load | undefined
  /** The function is to be called with the next join. */
  #isDue = false
  /** Ends the load of the application's state. */
  #loading: AbortController | undefined
  /** The messages that wait for it. */
  #held: [frame: MessageFrame, bytes: Uint8Array | undefined][] = []

  constructor (options: FeedOptions<Data>) {
    this.#options = options
  }

  /** The position up to which each message was delivered or excludes this client. */
  get position (): Position | undefined {
    return this.#progress.position
  }

  /** The position for the next join. */
  get since (): Position | undefined {
    return this.#caughtUp?.to ?? this.position
  }

  /** Whether the application's state is being loaded. */
  get isLoading (): boolean {
    return this.#loading !== undefined
  }

  /** Starts from a position that the application gives. Throws `already_joined` where the feed has a position. */
  start (since: Position): void {
    if (!isPosition(since)) throw invalid('"since" is { epoch, offset }')
    if (this.#isResume) {
      throw new RoomcastError('already_joined', `${this.#options.room} is joined already; leave it first, or read its history`)
    }
    this.#progress.restart(since)
    this.#isResume = true
  }

  /**
   * Takes the function that loads the application's state.
   *
   * @param isDue whether it is called at once, and not only after a gap
   * @param isJoined whether the room is joined; otherwise the call waits for the join
   */
  use (load: Load, isDue: boolean, isJoined: boolean): void {
    this.#load = load
    this.#isDue ||= isDue
    if (isDue && isJoined) this.#loadState()
  }

  /** Passes an own message that is not echoed. */
  pass (position: Partial<Position>): void {
    this.#progress.pass(position)
  }

  /** Takes the answer to a join. Calls `onJoined`; or reads missed messages first, and then has the room joined again. */
  enter (frame: ServerFrames['joined']): void {
    const { room, audience, recovered = false, missed = 0 } = frame
    const { onJoined, listeners } = this.#options
    const { since } = this
    this.#held = [] // The service repeats the messages after the position.
    const top = toPosition(frame)
    const isResume = this.#isResume
    if (isResume && !recovered && since !== undefined && top?.epoch === since.epoch && top.offset > since.offset) {
      void this.#catchUp(since, top)
      return
    }
    const read = this.#caughtUp?.messages ?? []
    this.#caughtUp = undefined
    this.#isResume = true
    const turn = this.#turn
    if (isResume && recovered) {
      this.#progress.resume(top, read.length + missed)
      onJoined({ room, ...top, audience, recovered, missed: read.length + missed })
      if (turn === this.#turn && this.#isDue) this.#loadState()
      for (const message of read) if (turn === this.#turn) this.take(message)
      return
    }
    this.#progress.restart(top)
    this.#held = []
    onJoined({ room, ...top, audience, ...(isResume && { recovered }) })
    if (turn !== this.#turn) return // A listener has left the room.
    if (isResume) listeners.emit('reset', { room, ...top, reason: 'history' })
    this.#loadState()
  }

  /** Takes a message: in a frame that arrived, or on a page of history. */
  take (frame: MessageFrame, bytes?: Uint8Array): void {
    if (this.#loading === undefined) this.#deliver(frame, bytes)
    else if (this.#held.length < MAX_HELD) this.#held.push([frame, bytes])
    else this.#options.rejoin() // The service has the messages, or reports a gap.
  }

  /** Takes the report of a gap. */
  reset ({ reason, ...frame }: ServerFrames['reset']): void {
    const position = toPosition(frame)
    this.#progress.restart(position)
    this.#held = []
    this.#options.listeners.emit('reset', { room: this.#options.room, ...position, reason })
    this.#loadState()
  }

  /** The next join follows: the service repeats the messages after the position. */
  pause (): void {
    this.#turn++
    this.#held = []
  }

  /** Forgets everything: the room was left. */
  clear (): void {
    this.pause()
    this.#loading?.abort()
    this.#loading = this.#load = this.#caughtUp = undefined
    this.#isResume = this.#isDue = false
    this.#progress.restart(undefined)
  }

  #deliver (frame: MessageFrame, bytes: Uint8Array | undefined): void {
    if (this.#progress.take(frame.offset)) this.#options.onMessage(toMessage(frame, this.position?.epoch, bytes))
  }

  /** Reads the missed messages beyond one page, and joins again after the last one. */
  async #catchUp (since: Position, top: Position): Promise<void> {
    const turn = ++this.#turn
    const { readHistory, rejoin } = this.#options
    const messages = await import('./catch-up.ts')
      .then(async ({ readMissed }) => await readMissed(readHistory, since, top, this.#caughtUp?.messages ?? [], () => turn === this.#turn))
      .catch(({ code }: Partial<RoomcastError>) => code === 'timeout' ? 'late' as const : undefined)
    if (turn !== this.#turn) return
    // The process may have stood still, with the answer behind the timer: another read comes before any verdict.
    const isRetry = messages === 'late' && !this.#isLate
    this.#isLate = isRetry
    if (!isRetry && typeof messages === 'object') {
      this.#caughtUp = { messages: messages.filter(({ offset = 0 }) => !this.#progress.isOwn(offset)), to: top }
    } else if (!isRetry) {
      this.#caughtUp = undefined
      this.#progress.restart(undefined) // Without a position, the join reports the gap.
    }
    rejoin()
  }

  /** Loads the application's state, and delivers the messages after it. */
  #loadState (): void {
    const load = this.#load
    this.#isDue = false
    if (load === undefined) return
    this.#loading?.abort()
    const { signal } = this.#loading = new AbortController()
    const { room, clock, report, onLoaded } = this.#options
    const onFailure = (error: unknown): void => {
      const cause = toCause(error)
      report(new RoomcastError('load_failed', `The state of ${room} was not loaded; it is loaded again`, { retryable: true, cause }))
    }
    import('./load-state.ts')
      .then(async ({ loadState }) => await loadState({ load, position: this.position, signal, clock, onFailure }))
      .then((position) => {
        if (signal.aborted) return
        this.#loading = undefined
        if (isPosition(position)) this.#progress.skip(position)
        const turn = this.#turn
        for (const [frame, bytes] of this.#held.splice(0)) if (turn === this.#turn) this.take(frame, bytes)
        onLoaded()
      }, () => { clock.after(RETRY_MS, () => { if (!signal.aborted) this.#loadState() }) })
  }
}
