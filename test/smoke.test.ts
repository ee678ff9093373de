import { test } from 'tap'
import { call, connect, startService } from './helper.ts'

test('what is posted over REST reaches the members of the room', async (t) => {
  const service = await startService(t)
  const client = await connect(service, { query: 'room=lobby' })
  await client.next('joined')
  const { status, body } = await call(service, 'POST', '/v1/rooms/lobby/messages', { body: { text: 'hi' } })
  t.equal(status, 201)
  const message = await client.next('message')
  t.match(message, { room: 'lobby', text: 'hi', from: 'ada', offset: body.offset, time: body.time })
  t.equal(body.audience, 1)
})
