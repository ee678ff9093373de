import { setTimeout as sleep } from 'node:timers/promises'
import { createPublisher } from '@roomcast/client/publisher'

/** A shop that does not exist: its figures twice a second, and an order now and then. */
const publisher = createPublisher({ url: process.env.ROOMCAST_URL, token: process.env.ROOMCAST_TOKEN })

process.once('disconnect', () => { process.exit() }) // The server has gone.

const CITIES = ['Lisbon', 'Oslo', 'Kraków', 'Ghent', 'Porto', 'Turin', 'Graz', 'Malmö']
const THINGS = ['a lamp', 'two chairs', 'a kettle', 'a rug', 'a desk', 'six glasses']
const pick = (list) => list[Math.floor(Math.random() * list.length)]

let requests = 240
let latency = 42
for (let order = 1001; ; await sleep(500)) {
  requests = Math.max(20, requests + (Math.random() - 0.5) * 40)
  latency = Math.max(8, latency + (Math.random() - 0.5) * 6)
  const errors = Math.random() < 0.15 ? Math.ceil(Math.random() * 4) : 0
  const messages = [{ room: 'shop:figures', data: { requests: Math.round(requests), latency: Math.round(latency), errors } }]
  if (Math.random() < 0.3) messages.push({ room: 'shop:orders', event: 'order', data: { id: order++, city: pick(CITIES), what: pick(THINGS), cents: 1_000 + Math.round(Math.random() * 40_000) } })
  for (const result of await publisher.batch(messages)) if (result instanceof Error) console.error(result.message)
}
