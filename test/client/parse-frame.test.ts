import { test } from 'tap'
import { parseFrame } from '../../client/parse-frame.ts'
import { toMessage } from '../../client/message.ts'
import { Requests } from '../../client/requests.ts'
import { FRAMES, type Plain } from './odd-frames.ts'
import { ManualClock } from '../support/manual-clock.ts'

const MESSAGE: Plain = { type: 'message', room: 'lobby', from: 'bob', time: 1 }
const HISTORY: Plain = { type: 'history', id: 1, room: 'lobby', recovered: true, messages: [] }

const REFUSED: readonly unknown[] = [
  null, 1, 'text', true, [], [[]], {}, { type: null }, { type: ['message'] }, { type: { toString: 'message' } },
  MESSAGE,
  { ...MESSAGE, text: 'a', data: 1 },
  { ...MESSAGE, base64: 'A' },
  { ...MESSAGE, base64: '!' },
  { ...MESSAGE, binary: 3 },
  { ...HISTORY, messages: '' },
  { ...HISTORY, messages: {} },
  { ...HISTORY, messages: [MESSAGE] },
  { ...HISTORY, messages: [{ ...MESSAGE, binary: 3 }] },
  { ...HISTORY, messages: [{ type: 'unknown' }] },
  { ...HISTORY, messages: [HISTORY] },
  { type: 'error', text: '', retryable: false },
  { type: 'error', code: 5, text: '', retryable: false },
  { type: 'error', code: 'x', text: '', retryable: 'yes' },
  { type: 'close', code: '1000' },
  { type: 'close' }
]

test('a frame of the service passes, and a property of the wrong type does not', (t) => {
  for (const frame of FRAMES) parseFrame(JSON.stringify(frame), true)
  for (const frame of REFUSED) t.throws(() => parseFrame(JSON.stringify(frame)), { name: 'Error' }, JSON.stringify(frame))
  const others = ['close', '__proto__', 'constructor', 'unknown']
  const passed = others.map((type) => parseFrame(JSON.stringify({ type, code: 4008, extra: {} })).type)
  t.strictSame(passed, others, 'a newer service may send other types')
  t.throws(() => parseFrame(new ArrayBuffer(1)))
  t.end()
})

test('a message has the properties that the client gives it, whatever the frame has', (t) => {
  const frame = JSON.parse('{"room":"r","from":"a","time":1,"text":"x","offset":2,"id":{},"bytes":5,"__proto__":{"event":"e"}}')
  const { id, bytes, event } = toMessage(frame, 'e')
  t.strictSame({ id, bytes, event }, { id: 'e:2', bytes: undefined, event: undefined })
  t.end()
})

test('an answer of the wrong type is a fault of the service, and a frame that is no answer is not lost', (t) => {
  const requests = new Requests(new ManualClock(), () => {}, () => {})
  requests.onOpen(false)
  const room = 'lobby'
  const id = requests.add<'joined'>({
    answer: 'joined',
    room,
    isReady: () => true,
    prepare: (id) => ({ type: 'join', room, id }),
    onAnswer: () => {}
  })
  t.throws(() => requests.take({ type: 'ack', id, room: 'lobby' }))
  t.notOk(requests.take({ ...MESSAGE, text: 'a text', id } as unknown as Parameters<typeof requests.take>[0]))
  t.ok(requests.isSent(id))
  t.end()
})
