import { EventEmitter } from 'node:events'
import { test } from 'tap'
import { Requests } from '../../src/callers/requests.ts'
import { RoomcastError } from '../../src/errors.ts'

/** A request and its response, by default on a new socket. */
function exchange (socket: EventEmitter = new EventEmitter()): Parameters<Requests['begin']>[1] & { response: EventEmitter } {
  return { request: { socket } as never, response: new EventEmitter() as never }
}

function refusalOf (requests: Requests, user: string): unknown {
  try {
    requests.begin(user, exchange())
    return undefined
  } catch (error) {
    if (!(error instanceof RoomcastError)) throw error
    return { code: error.code, retryAfterMs: error.retryAfterMs }
  }
}

test('requests of a caller are refused while it has as many as it may', async (t) => {
  const requests = new Requests(2)
  const [first, second] = [exchange(), exchange()]
  requests.begin('ada', first)
  requests.begin('ada', second)
  t.strictSame(refusalOf(requests, 'ada'), { code: 'rate_limited', retryAfterMs: 1_000 })
  t.equal(refusalOf(requests, 'bob'), undefined)
  first.response.emit('close')
  t.equal(refusalOf(requests, 'ada'), undefined)
  t.not(refusalOf(requests, 'ada'), undefined, 'a refused one does not count')
  second.response.emit('close')
  t.equal(requests.of('ada'), 1)
})

test('requests that wait on one socket all end when it closes, and none ends twice', async (t) => {
  const requests = new Requests(100)
  const socket = new EventEmitter()
  const exchanges = Array.from({ length: 50 }, () => exchange(socket))
  for (const one of exchanges) requests.begin('ada', one)
  t.equal(socket.listenerCount('close'), 1)
  exchanges[0]?.response.emit('close')
  t.equal(requests.of('ada'), 49)
  requests.begin('ada', exchange())
  socket.emit('close')
  for (const { response } of exchanges) response.emit('close')
  t.equal(requests.of('ada'), 1)
})

test('a request on a socket that is gone is not counted: it would never end', async (t) => {
  const requests = new Requests(1)
  requests.begin('ada', exchange(Object.assign(new EventEmitter(), { destroyed: true })))
  t.equal(requests.of('ada'), 0)
})

test('a limit of 0 is none', async (t) => {
  const requests = new Requests(0)
  for (let i = 0; i < 1_000; i++) t.equal(refusalOf(requests, 'ada'), undefined)
})
