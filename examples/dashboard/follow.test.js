import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { twin } from '@roomcast/client/testing'
import { follow } from './follow.js'

let service
let shown

beforeEach(async () => {
  service = await twin()
  for (const id of [1, 2]) await service.publish('orders', { data: id })
  const following = follow(service.connect('ada'), 'orders', 3, (messages) => { shown = messages.map(({ data }) => data) })
  await service.settle()
  await following
})

afterEach(async () => { await service.close() })

test('earlier orders come first, and then new ones, the latest three', async () => {
  assert.deepEqual(shown, [1, 2])
  for (const id of [3, 4]) await service.publish('orders', { data: id })
  assert.deepEqual(shown, [2, 3, 4])
})

test('an outage loses no order', async () => {
  await service.cut('ada')
  for (const id of [3, 4]) await service.publish('orders', { data: id })
  assert.deepEqual(shown, [1, 2])
  await service.mend('ada')
  await service.advance('1m')
  assert.deepEqual(shown, [2, 3, 4])
})

test('after a new beginning of the room, no earlier order stays', async () => {
  await service.restart({ epoch: 'new' })
  await service.advance('1m')
  assert.deepEqual(shown, [])
  await service.publish('orders', { data: 9 })
  assert.deepEqual(shown, [9])
})

test('after lost messages, the orders are loaded again, although the first read is refused', async () => {
  service.refuse('unavailable', { times: 1, match: ({ type }) => type === 'history' })
  await service.reset('orders') // The service has forgotten them.
  await service.publish('orders', { data: 3 })
  await service.advance('1m')
  assert.deepEqual(shown, [3])
})
