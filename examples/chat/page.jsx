import { useEffect, useRef, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { RoomcastProvider, useConnection, useRoom } from '@roomcast/client/react'

const ROOMS = ['lobby', 'kitchen', 'help']

/** Gets a token from our own backend; asked again whenever one has ended. */
async function signIn (name) {
  const response = await fetch('/sign-in', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name }) })
  if (!response.ok) throw new Error(`sign-in was answered with ${response.status}`)
  return (await response.json()).token
}

function App () {
  const [name, setName] = useState(sessionStorage.getItem('name'))
  if (name === null) return <SignIn onName={(name) => { sessionStorage.setItem('name', name); setName(name) }} />
  return (
    <RoomcastProvider url='/realtime' token={() => signIn(name)}>
      <Chat name={name} />
    </RoomcastProvider>
  )
}

function SignIn ({ onName }) {
  const [name, setName] = useState('')
  const submit = (event) => {
    event.preventDefault()
    if (name.trim() !== '') onName(name.trim())
  }
  return (
    <form className='sign-in' onSubmit={submit}>
      <h1>Chat</h1>
      <p>Open this page in a second tab, under another name.</p>
      <label>Your name <input autoFocus maxLength={40} value={name} onChange={(event) => setName(event.target.value)} /></label>
      <button>Enter</button>
    </form>
  )
}

function Chat ({ name }) {
  const [room, setRoom] = useState(ROOMS[0])
  return (
    <div className='chat'>
      <nav>
        <h1>Chat</h1>
        <ul>
          {ROOMS.map((one) => (
            <li key={one}><button aria-current={one === room} onClick={() => setRoom(one)}># {one}</button></li>
          ))}
        </ul>
        <Connection />
        <p className='me'>{name}</p>
      </nav>
      <Room key={room} name={name} room={room} />
    </div>
  )
}

function Room ({ name, room }) {
  const { messages, send, state, recovered, error } = useRoom(`chat:${room}`, { history: 50 })
  const [unsent, setUnsent] = useState([])
  const end = useRef(null)
  // A message is in the room before its sender is told so.
  const arrived = new Set(messages.map(({ data }) => data?.id))
  const sending = unsent.filter(({ key }) => !arrived.has(key))
  useEffect(() => { end.current?.scrollIntoView({ block: 'end' }) }, [messages, unsent])

  const say = async (text) => {
    const key = crypto.randomUUID()
    setUnsent((unsent) => [...unsent, { key, text }])
    // It waits for a connection if there is none, and resolves when it is in the room.
    const failed = await send({ id: key, text }, { key }).then(() => undefined, (error) => error)
    setUnsent((unsent) => failed === undefined ? unsent.filter((one) => one.key !== key) : unsent.map((one) => one.key === key ? { ...one, failed } : one))
  }

  return (
    <main>
      <header>
        <h2># {room}</h2>
        {state === 'joining' && <span>joining…</span>}
        {recovered === false && <span>some messages may be missing</span>}
      </header>
      {error !== undefined && <p role='alert'>{error.message}</p>}
      <ol>
        {messages.map(({ id, from, time, data, text }) => (
          <Line key={id} from={from} mine={from === name} time={time} text={data?.text ?? text} />
        ))}
        {sending.map(({ key, text, failed }) => (
          <Line key={key} from={name} mine text={text} note={failed?.message ?? 'sending…'} />
        ))}
        <li ref={end} className='end' />
      </ol>
      <Composer onSay={say} />
    </main>
  )
}

function Line ({ from, mine, time, text, note }) {
  return (
    <li className={mine ? 'mine' : undefined}>
      <span className='from' style={{ '--hue': hueOf(from) }}>{from}</span>
      <span className='text'>{text}</span>
      <small>{note ?? <time>{new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}</time>}</small>
    </li>
  )
}

function Composer ({ onSay }) {
  const [text, setText] = useState('')
  const submit = (event) => {
    event.preventDefault()
    if (text.trim() === '') return
    onSay(text.trim())
    setText('')
  }
  return (
    <form className='composer' onSubmit={submit}>
      <input autoFocus aria-label='Message' placeholder='Say something' value={text} onChange={(event) => setText(event.target.value)} />
      <button>Send</button>
    </form>
  )
}

/** How the connection stands, in words; and a button for the impatient. */
function Connection () {
  const { state, reason, retryAt, transport, client } = useConnection()
  const [now, setNow] = useState(Date.now())
  useEffect(() => {
    if (state !== 'waiting') return
    const timer = setInterval(() => { setNow(Date.now()) }, 250)
    return () => { clearInterval(timer) }
  }, [state])
  const seconds = Math.max(0, Math.ceil(((retryAt ?? now) - now) / 1_000))
  return (
    <p className='connection' data-state={state} role='status'>
      {state === 'connected' && (transport === 'events' ? 'connected by event stream' : 'connected')}
      {state === 'connecting' && 'connecting…'}
      {state === 'waiting' && <>trying again in {seconds} s <button onClick={() => { client?.retry() }}>now</button></>}
      {state === 'closed' && `closed: ${reason}`}
    </p>
  )
}

function hueOf (name) {
  return [...name].reduce((hue, character) => (hue * 139 + character.codePointAt(0) * 37) % 360, 7)
}

createRoot(document.getElementById('root')).render(<App />)
