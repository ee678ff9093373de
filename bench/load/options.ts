/**
 * How a server is spoken to. In templates `%R` is the room, `%K` the connection's token, `%I` its number, `%S` the size of a text, `%T` a
 * text.
 */
export interface Protocol {
  /** Path and query of the upgrade. */
  path: string
  /** Frames are binary, not text. */
  binary?: boolean
  /** Sent one after the other once the connection is open, each when the one before was answered. */
  open?: Step[]
  /** Sent for each room of a connection; absent where the path says it. */
  join?: Step
  /** A frame that publishes a text to a room. */
  publish: string
  /** What is sent in answer to a frame with exactly that text: heartbeats that are not WebSocket's own. */
  reply?: Record<string, string>
  /** Publishing over HTTP, where the server knows it. */
  rest?: Rest
}

/** A frame, and what the frame that answers it contains. */
export interface Step {
  send: string
  until: string
}

export interface Rest {
  /** A request that publishes one text. */
  single: { path: string, body: string }
  /** One that publishes many: `item` for each, separated by commas, where `body` has `%M`. */
  batch?: { path: string, body: string, item: string }
}

/** What a load generator is told to do. */
export interface LoadOptions {
  protocol: Protocol
  /** Where the members connect, on 127.0.0.1. */
  port: number
  /** Where messages are published, if that is another server: by connections of its own, which nothing is counted of. */
  publishPort?: number
  members: number
  /** Member i is in room i modulo this. Default 1. */
  rooms?: number
  /** Every member is in every room. */
  everywhere?: boolean
  /** How many of the members stop reading once they are in. */
  deaf?: number
  /** Bytes of a text. */
  textBytes?: number
  /** Messages on their way at the most; undefined with `perSecond`. */
  window?: number
  /** Messages published a second, whatever becomes of them. */
  perSecond?: number
  /** By a frame of a member, by an HTTP request each, or by HTTP requests with so many. Default frames. */
  via?: 'frames' | 'rest'
  batch?: number
  /** Load before anything is measured, s, and while it is. 0 seconds: nothing is published, connections are all there is. */
  warmupSeconds?: number
  seconds: number
  /** From when everybody has joined until there is load, ms: notices about who joined die down. */
  settleMs?: number
  /** Time without anything happening after which what has not come counts as lost, ms. */
  patienceMs?: number
  /** Processes whose CPU time and memory are measured, together. */
  pids: number[]
  /** A process measured apart: a Redis. */
  besides?: number
  /** What tokens are signed with (HS256). */
  secret: string
  /** Every connection is a user of its own; otherwise all are one. */
  users?: boolean
  /** First of the source addresses, an index into 127.0.0.0/8. */
  source?: number
}

/** What a load generator saw. Times are those of the measured part, counts too unless told otherwise. */
export interface LoadResult {
  members: number
  seconds: number
  deliveries: number
  /** Messages that were published and delivered, or answered where they went over HTTP. */
  published: number
  /** Deliveries that never came, of the whole load. */
  lost: number
  /** Requests that were not answered with 2xx, of the whole load. */
  refused: number
  /** Connections that ended, deaf ones apart. */
  ended: number
  latencyUs: { p50: number, p90: number, p99: number, p999: number, max: number }
  /** Of `pids`. */
  userSeconds: number
  systemSeconds: number
  /** Of `besides`. */
  besidesSeconds: number
  /** CPU time of `pids` for all connections to be opened and joined. */
  openSeconds: number
  /** Resident memory of `pids`, before and with the connections. */
  bytesBefore: number
  bytesAfter: number
  /** Share of a core that the generator used. */
  generatorLoad: number
}
