import { Tally } from './tally.js'

/** A chat: the counts, the messages and an input. Both panes are made of this. */
export class Pane {
  /** Resolves at the first connection. */
  connected
  #element
  #tally = new Tally()
  #number = 0
  #onConnected
  #connection

  /** @param connect takes the listeners, and returns `send` and perhaps `retry` */
  constructor (element, connect) {
    this.#element = element
    this.connected = new Promise((resolve) => { this.#onConnected = resolve })
    element.append(document.getElementById('pane').content.cloneNode(true))
    this.#connection = connect({
      onMessage: (message) => { this.#onMessage(message) },
      onState: (state) => { this.#onState(state) },
      onNote: (note) => {
        this.#find('.note').textContent = note
        this.#find('.note').hidden = false
      }
    })
    const input = this.#find('form input')
    this.#find('form').addEventListener('submit', (event) => {
      event.preventDefault()
      if (input.value.trim() === '') return
      this.write(input.value.trim())
      input.value = ''
    })
    this.#find('.retry').addEventListener('click', () => { this.#connection.retry() })
  }

  /** Sends a message of the visitor, and expects it back from the room. */
  write (text) {
    const message = { author: 'You', number: ++this.#number, text }
    this.expect(message)
    this.#connection.send(message)
  }

  /** Notes a message that has to arrive. */
  expect (message) {
    this.#tally.expect(message)
    this.#show()
  }

  #onMessage (message) {
    const item = toItem(message)
    const wrong = this.#tally.arrive(message)
    if (wrong !== undefined) item.append(make('span', wrong, 'wrong'))
    const list = this.#find('.arrived')
    list.append(item)
    list.scrollTop = list.scrollHeight
    this.#show()
  }

  #onState (state) {
    this.#find('.state').textContent = state
    this.#find('.state').dataset.state = state
    this.#find('.retry').hidden = state === 'connected' || this.#connection?.retry === undefined
    if (state === 'connected') this.#onConnected()
  }

  #show () {
    const { missing, counts } = this.#tally
    for (const [name, count] of Object.entries(counts)) {
      const figure = this.#find(`[data-count="${name}"]`)
      figure.textContent = count
      figure.className = count > 0 && !['expected', 'arrived'].includes(name) ? 'bad' : ''
    }
    this.#find('.missing').replaceChildren(...missing.map(toItem))
    this.#find('.waiting').hidden = missing.length === 0
  }

  #find (selector) {
    return this.#element.querySelector(selector)
  }
}

function toItem ({ author, number, text }) {
  const item = make('li', '', author === 'You' ? 'mine' : 'other')
  item.append(make('b', `${author} ${number}`), make('span', text, 'text'))
  return item
}

function make (name, text, className = '') {
  const element = document.createElement(name)
  element.textContent = text
  element.className = className
  return element
}
