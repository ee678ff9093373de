import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { Service } from './service.ts'
import { PATIENCE_MS } from './until.ts'

/** An HTTP answer as it came over the wire. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

/** What became of bytes that were sent. */
export interface Exchange {
  answers: Answer[]
  socket: Socket
  /** Resolves when the server has hung up; rejects when it does not. */
  closed: Promise<void>
}

/** Sends bytes to a service as they are, and reads answers until there are `count`, or the server hangs up. */
export async function speak (
  t: Test,
  service: { port: number },
  bytes: string | Buffer,
  { count = 1, bodies = true } = {}
): Promise<Exchange> {
  const socket = connectTcp(service.port, '127.0.0.1')
  t.teardown(() => { socket.destroy() })
  socket.on('error', () => {}) // A reset is a close.
  let received: Buffer = Buffer.alloc(0)
  let ended = false
  const hungUp = once(socket, 'close').then(() => { ended = true })
  const changed = () => Promise.race([once(socket, 'data'), hungUp])
  socket.on('data', (chunk) => { received = Buffer.concat([received, chunk]) })
  socket.write(bytes)

  const answers: Answer[] = []
  const deadline = AbortSignal.timeout(PATIENCE_MS)
  while (answers.length < count) {
    const { answer, rest } = readAnswer(received, bodies)
    if (answer !== undefined) {
      answers.push(answer)
      received = rest
    } else if (ended) break
    else {
      await Promise.race([
        changed(),
        once(deadline, 'abort').then(() => {
          throw new Error(`waited in vain for an answer; received: ${received.toString().slice(0, 500)}`)
        })
      ])
    }
  }
  const closed = () =>
    Promise.race([
      hungUp,
      once(AbortSignal.timeout(PATIENCE_MS), 'abort').then(() => { throw new Error('waited in vain for the server to hang up') })
    ])
  return { answers, socket, get closed () { return closed() } }
}

/** The first answer in what was received. An interim one (100) is passed over. */
function readAnswer (received: Buffer, bodies: boolean): { answer?: Answer, rest: Buffer } {
  const end = received.indexOf('\r\n\r\n')
  if (end === -1) return { rest: received }
  const [line = '', ...fields] = received.subarray(0, end).toString('latin1').split('\r\n')
  const status = Number(line.split(' ')[1])
  const headers = Object.fromEntries(
    fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()])
  )
  const rest = received.subarray(end + 4)
  if (status === 100) return readAnswer(rest, bodies)
  const length = bodies && status !== 101 && status !== 204 ? Number(headers['content-length'] ?? 0) : 0
  if (rest.length < length) return { rest: received }
  return { answer: { status, headers, body: rest.subarray(0, length).toString() }, rest: rest.subarray(length) }
}

/** A request as it stands on the wire. */
export function request (method: string, target: string, headers: string[] = [], body = ''): string {
  return [`${method} ${target} HTTP/1.1`, 'Host: x', ...headers, '', body].join('\r\n')
}

export const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket']
export const HANDSHAKE = [...UPGRADE, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13']

/** Asserts that an answer is a problem document (RFC 9457) of the contract's shape, and nothing more. */
export function isProblem (
  t: Test,
  answer: { status: number, headers: Headers | Record<string, unknown>, body: unknown } | undefined,
  status: number,
  code: string,
  message = `${status} ${code}`
): void {
  if (answer === undefined) {
    t.fail(`${message}: there is no answer`)
    return
  }
  const header = (name: string) => answer.headers instanceof Headers ? answer.headers.get(name) ?? undefined : answer.headers[name]
  const { title, detail, retryable, retryAfterMs, ...rest } = readObject(answer.body)
  t.strictSame([answer.status, rest], [status, { type: `urn:roomcast:error:${code}`, status, code }], message)
  const texts = [title, detail].every((text) => typeof text === 'string' && text !== '')
  const wait = retryAfterMs === undefined ? undefined : String(Math.ceil(Number(retryAfterMs) / 1_000))
  t.strictSame(
    [String(header('content-type')).split(';')[0], texts, typeof retryable, header('retry-after'), header('www-authenticate')],
    ['application/problem+json', true, 'boolean', wait, status === 401 ? 'Bearer' : undefined],
    `${message}: as a problem document`
  )
}

/** A body as the object it is; of anything else nothing is left. */
function readObject (body: unknown): Record<string, unknown> {
  try {
    return { ...(typeof body === 'string' ? JSON.parse(body) : body) as object }
  } catch {
    return { unreadable: body }
  }
}

/** What a request that goes out by `speak` gets. */
export async function ask (t: Test, service: Service, bytes: string | Buffer): Promise<Answer> {
  const { answers, socket } = await speak(t, service, bytes)
  socket.destroy()
  if (answers[0] === undefined) throw new Error('there was no answer')
  return answers[0]
}
