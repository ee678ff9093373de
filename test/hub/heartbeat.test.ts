import { mock } from 'node:test'
import { test, type Test } from 'tap'
import type { Connection, ConnectionOptions } from '../../src/hub/connection.ts'
import { Heartbeat } from '../../src/hub/heartbeat.ts'
import { Hub } from '../../src/hub/hub.ts'
import { connectTo, RecordingTransport } from './recorder.ts'

const SWEEP_MS = 500
/** How long after a ping's period silence is taken for an end, s. */
const ANSWER_SECONDS = 10
const PING_OPCODE = 9

interface Node {
  hub: Hub
  heartbeat: Heartbeat
  connect: (options?: Partial<ConnectionOptions>) => { connection: Connection, transport: RecordingTransport }
  /** Lets time pass, sweep by sweep; before each of them something may be done. */
  pass: (seconds: number, before?: () => void) => void
  /** Lets time pass while the event loop stands still. */
  stall: (seconds: number) => void
}

/** A node whose time passes only when it is told to. */
function startNode (t: Test, seconds: number): Node {
  mock.timers.enable({ apis: ['setInterval'] })
  let now = 1_000
  mock.method(performance, 'now', () => now)
  mock.method(Date, 'now', () => Date.UTC(2030) + now)
  const hub = new Hub()
  const heartbeat = new Heartbeat(hub, seconds)
  t.teardown(() => {
    heartbeat.stop()
    mock.timers.reset()
    mock.restoreAll()
  })
  return {
    hub,
    heartbeat,
    connect: (options = {}) => {
      const transport = new RecordingTransport()
      const connection = connectTo(transport, options)
      hub.add(connection)
      return { connection, transport }
    },
    pass: (seconds, before) => {
      for (let i = 0; i < seconds * 1_000 / SWEEP_MS; i++) {
        before?.()
        now += SWEEP_MS
        mock.timers.tick(SWEEP_MS)
      }
    },
    stall: (seconds) => {
      now += seconds * 1_000
      mock.timers.tick(SWEEP_MS) // However late it is, an interval comes once.
    }
  }
}

function pings ({ frames }: RecordingTransport): number {
  return frames.filter(({ opcode }) => opcode === PING_OPCODE).length
}

test('every connection is pinged once a period, and not all at once', async (t) => {
  const { connect, hub, pass } = startNode(t, 25)
  const clients = Array.from({ length: 100 }, () => connect())
  const answer = () => { for (const { connection } of clients) connection.heard = hub.tick }
  let most = 0
  for (let i = 0; i < 50; i++) {
    const before = clients.reduce((sum, { transport }) => sum + pings(transport), 0)
    pass(0.5, answer)
    most = Math.max(most, clients.reduce((sum, { transport }) => sum + pings(transport), 0) - before)
  }
  t.strictSame(clients.map(({ transport }) => pings(transport)), clients.map(() => 1))
  t.equal(most, 2, 'a hundred connections over fifty sweeps')
  pass(75, answer)
  t.strictSame(clients.map(({ transport }) => pings(transport)), clients.map(() => 4))
  t.ok(clients.every(({ transport, connection }) => transport.open && !connection.ended))
  t.strictSame(clients[0]?.transport.frames[0], { opcode: PING_OPCODE, payload: Buffer.alloc(0) })
})

test('who does not answer is closed and ended, and not before it had time to', async (t) => {
  const { connect, hub, pass } = startNode(t, 25)
  const [silent, alive] = [connect(), connect()]
  const answer = () => { alive.connection.heard = hub.tick }
  pass(25 + ANSWER_SECONDS, answer)
  t.equal(silent.transport.closedFor, undefined)
  t.ok(pings(silent.transport) >= 1, 'it was asked')
  pass(1, answer)
  t.equal(silent.transport.closedFor, 'noHeartbeat')
  t.ok(silent.transport.terminated, 'nobody waits for its close frame')
  t.ok(silent.connection.ended)
  pass(100, answer)
  t.equal(alive.connection.ended, false)
})

test('anything that is heard counts as an answer', async (t) => {
  const { connect, hub, pass } = startNode(t, 1)
  const { connection, transport } = connect()
  for (let i = 0; i < 20; i++) {
    pass(ANSWER_SECONDS)
    connection.heard = hub.tick
  }
  t.equal(transport.closedFor, undefined)
})

test('a stall of the event loop makes nobody late', async (t) => {
  const { connect, hub, pass, stall } = startNode(t, 25)
  const clients = Array.from({ length: 50 }, () => connect())
  const answering = connect()
  for (let i = 0; i < 30; i++) {
    stall(60)
    pass(1)
  }
  t.ok(clients.every(({ connection }) => !connection.ended), 'half an hour, of which the loop ran for half a minute')
  answering.connection.heard = hub.tick
  pass(50, () => { answering.connection.heard = hub.tick })
  t.ok(clients.every(({ connection }) => connection.ended), 'who is silent without a stall is closed')
  t.equal(answering.connection.ended, false)
})

test('a connection ends with its token, stalled or not', async (t) => {
  const { connect, hub, pass, stall } = startNode(t, 25)
  const now = Date.now()
  const [soon, later, renewed] = [
    connect({ expiresAt: now + 3_000 }),
    connect({ expiresAt: now + 60_000 }),
    connect({ expiresAt: now + 3_000 })
  ]
  const answer = () => { for (const { connection } of [soon, later, renewed]) connection.heard = hub.tick }
  pass(2.5, answer)
  t.equal(soon.transport.closedFor, undefined)
  renewed.connection.expiresAt = now + 120_000
  pass(0.5, answer)
  t.equal(soon.transport.closedFor, 'unauthorized')
  t.equal(renewed.transport.closedFor, undefined)
  stall(60)
  t.equal(later.transport.closedFor, 'unauthorized')
  t.equal(renewed.connection.ended, false)
})

test('a token that is good for more than 25 days does not end the connection at once', async (t) => {
  const { connect, hub, pass } = startNode(t, 25)
  const { connection } = connect({ expiresAt: Date.now() + 60 * 24 * 3_600_000 })
  const forever = connect({ expiresAt: Infinity })
  pass(60, () => { connection.heard = forever.connection.heard = hub.tick })
  t.equal(connection.ended, false)
  t.equal(forever.connection.ended, false)
})

test('a message that is begun and not finished ends the connection, one that goes on does not', async (t) => {
  for (const seconds of [25, 0]) { // With pings and without.
    const node = startNode(t, seconds)
    const [stuck, busy, idle] = [node.connect(), node.connect(), node.connect()]
    const clients = [stuck, busy, idle]
    stuck.transport.unfinished = busy.transport.unfinished = true
    const answer = () => {
      for (const { connection } of clients) connection.heard = node.hub.tick
      busy.connection.wasUnfinished = false // A whole message came in: what is unfinished now is another one.
    }
    node.pass(20, answer)
    t.equal(stuck.transport.closedFor, undefined, 'it may take its time')
    node.pass(60, answer)
    t.equal(stuck.transport.closedFor, 'unfinishedMessage')
    t.equal(busy.transport.closedFor, undefined)
    t.equal(idle.transport.closedFor, undefined)
    node.heartbeat.stop()
    mock.timers.reset()
    mock.restoreAll()
  }
})

test('with the heartbeat off nobody is pinged or closed for silence', async (t) => {
  const { connect, pass } = startNode(t, 0)
  const { transport } = connect()
  const expiring = connect({ expiresAt: Date.now() + 100_000 })
  pass(600)
  t.equal(transport.closedFor, undefined)
  t.equal(pings(transport), 0)
  t.equal(expiring.transport.closedFor, 'unauthorized', 'tokens end all the same')
})

test('a connection that has ended and whose socket is still there is left alone', async (t) => {
  const { connect, pass } = startNode(t, 25)
  const { connection, transport } = connect({ expiresAt: Date.now() + 1_000 })
  connection.close('removed')
  pass(120)
  t.equal(transport.closedFor, 'removed')
  t.equal(transport.chunks.length, 0)
})

test('a heartbeat that was stopped does nothing', async (t) => {
  const { connect, heartbeat, hub, pass } = startNode(t, 25)
  const { transport } = connect()
  heartbeat.stop()
  pass(120)
  t.equal(hub.tick, 0)
  t.equal(transport.closedFor, undefined)
})
