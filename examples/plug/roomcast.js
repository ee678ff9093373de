import { connect } from '@roomcast/client'

/** Connects the left pane, and returns what the pane needs. */
export function connectRoomcast ({ url, room: name, onMessage, onState, onNote }) {
  const client = connect({
    url,
    token: async () => (await (await fetch('/token')).json()).token
  })
  const room = client.room(name)
  room.on('message', ({ data }) => { onMessage(data) })
  room.on('reset', () => { onNote('Messages may be missing. An application loads its state anew now.') })
  const show = () => { onState(room.state === 'joined' ? 'connected' : 'trying to connect') }
  room.on('state', show)
  client.on('status', show)
  room.join().catch((error) => { onNote(error.message) })
  return {
    send: (message) => { room.publish(message).catch((error) => { onNote(error.message) }) },
    /** Ends the wait before the next attempt. */
    retry: () => { client.retry() }
  }
}
