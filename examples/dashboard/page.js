import { connect } from '@roomcast/client'
import { follow } from './follow.js'

/** Figures on the chart: a minute. */
const POINTS = 120
const ORDERS = 8

const client = connect({
  url: '/realtime',
  token: async () => (await (await fetch('/token')).json()).token
})
const element = (id) => document.getElementById(id)

client.on('status', ({ state, transport, reason }) => {
  element('status').dataset.state = state
  element('status').textContent = state === 'connected' ? `live${transport === 'events' ? ', by event stream' : ''}` : state === 'closed' ? `closed: ${reason}` : 'trying to connect…'
})

function showFigures (messages) {
  const figures = messages.map(({ data }) => data)
  const last = figures.at(-1)
  if (last === undefined) return
  element('requests').textContent = last.requests
  element('latency').textContent = last.latency
  element('errors').textContent = figures.reduce((sum, { errors }) => sum + errors, 0)
  draw(element('requests-chart'), figures.map(({ requests }) => requests))
  draw(element('latency-chart'), figures.map(({ latency }) => latency))
  draw(element('errors-chart'), figures.map(({ errors }) => errors))
}

/** A line in a box of 120 × 40, the latest value at its right end. */
function draw (svg, values) {
  const max = Math.max(...values, 1) * 1.1
  const points = values.map((value, i) => `${(120 - (values.length - 1 - i) * 120 / (POINTS - 1)).toFixed(1)},${(40 - value / max * 40).toFixed(1)}`)
  svg.innerHTML = `<polyline points="${points.join(' ')}" />`
}

function showOrders (messages) {
  const rows = messages.toReversed().map(({ data: { id, city, what, cents }, time }) => {
    const row = document.createElement('tr')
    for (const text of [`#${id}`, what, city, `${(cents / 100).toFixed(2)} €`, new Date(time).toLocaleTimeString()]) row.insertCell().textContent = text
    return row
  })
  element('orders').replaceChildren(...rows)
  element('none').hidden = rows.length > 0
}

await Promise.all([follow(client, 'shop:figures', POINTS, showFigures), follow(client, 'shop:orders', ORDERS, showOrders)])
