import { Pane } from './pane.js'
import { connectRoomcast } from './roomcast.js'
import { connectSocketIo } from './socket-io.js'

const element = (id) => document.getElementById(id)
const to = (port) => `http://${window.location.hostname}:${port}`

const NETWORK = { in: 'The network works.', half: 'The page gets no answers.', out: 'The network is cut.' }

const recovers = new URLSearchParams(window.location.search).has('recovery')
element('recovery').checked = recovers
element('recovery').addEventListener('change', () => { window.location.search = recovers ? '' : 'recovery' })

async function ask (method, path, body) {
  const response = await fetch(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}`)
}

let isReady = false
let plug = 'in'
async function setPlug (value) {
  await ask('PUT', '/plug', { plug: value })
  plug = value
  element('plug').textContent = plug === 'in' ? 'Pull the plug' : 'Plug it in again'
  enable()
  element('network').dataset.plug = plug
  element('network').textContent = NETWORK[plug]
}

function enable () {
  element('plug').disabled = !isReady || plug === 'half'
  element('others').disabled = !isReady
  element('half').disabled = !isReady || plug !== 'in'
}

await setPlug('in') // Another page may have pulled it.

// Each page load is a room of its own.
const room = `plug:${Array.from(crypto.getRandomValues(new Uint32Array(2)), (part) => part.toString(36)).join('')}`
const ports = await (await fetch('/ports')).json()
const panes = [
  new Pane(element('roomcast'), (listeners) => connectRoomcast({ url: to(ports.roomcast), room, ...listeners })),
  new Pane(element('socket-io'), (listeners) => connectSocketIo({ url: to(recovers ? ports.recovery : ports.socketIo), room, recovers, ...listeners }))
]

element('plug').addEventListener('click', async () => { await setPlug(plug === 'in' ? 'out' : 'in') })

// The services get the message, and their answers do not come through any more.
element('half').addEventListener('click', async () => {
  await setPlug('half')
  for (const pane of panes) pane.write('sent as the plug was pulled')
  await new Promise((resolve) => { setTimeout(resolve, 500) })
  await setPlug('out')
  element('plug').focus() // The other button is disabled now.
})

let number = 0
element('others').addEventListener('click', async () => {
  const messages = Array.from({ length: 3 }, () => ({ author: 'Another user', number: ++number, text: `message ${number}` }))
  for (const pane of panes) for (const message of messages) pane.expect(message)
  await ask('POST', '/messages', { room, messages })
})

await Promise.all(panes.map(({ connected }) => connected))
isReady = true
enable()
