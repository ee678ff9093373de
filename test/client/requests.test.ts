import { test } from 'tap'
import type { SentFrame } from '../../client/link.ts'
import { Outbox } from '../../client/outbox.ts'
import { Requests } from '../../client/requests.ts'
import { ManualClock } from '../support/manual-clock.ts'

test('an idle client measures no rate, although a publish waits for its room', async (t) => {
  const clock = new ManualClock()
  const sent: SentFrame[] = []
  const requests = new Requests(clock, (frame) => { sent.push(frame) }, () => {})
  const outbox = new Outbox({ clock, requests, max: 2_000, isJoined: (room) => room === 'open', onPassed: () => {} })
  requests.onOpen(false)
  const publish = (room: string): void => { outbox.publish(room, 1, { key: `k${sent.length}` }).catch(() => {}) }
  const acknowledge = (from: number): void => {
    for (const frame of sent.slice(from)) requests.take({ type: 'ack', id: (frame as { id: number }).id, room: 'open' })
  }
  const refuse = (): void => {
    const { id } = sent.at(-1) as { id: number }
    requests.take({ type: 'error', id, code: 'rate_limited', text: '', retryable: true, retryAfterMs: 10 })
  }
  publish('closed')
  publish('open')
  await null
  refuse()
  clock.tick(20)
  acknowledge(1)
  // One message in ten seconds is no rate.
  for (let i = 0; i < 5; i++) {
    clock.tick(10_000)
    publish('open')
    await null
    acknowledge(sent.length - 1)
  }
  publish('open')
  await null
  refuse()
  const before = sent.length
  for (let i = 0; i < 100; i++) publish('open')
  await null
  for (let i = 0; i < 50; i++) {
    const known = sent.length
    clock.tick(20)
    acknowledge(known)
  }
  t.ok(sent.length - before > 50, `${sent.length - before} in a second at a rate of 100`)
})
