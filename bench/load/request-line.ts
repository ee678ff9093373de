import { connect, type Socket } from 'node:net'

const HEAD_END = '\r\n\r\n'

/** One HTTP connection on which requests are sent without waiting for the answers to those before. */
export class RequestLine {
  answered = 0
  /** Answered with another status than 2xx. */
  refused = 0
  readonly #socket: Socket
  #unread = ''

  constructor (port: number, onAnswer: () => void) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (text: string) => {
      this.#unread += text
      this.#read()
      onAnswer()
    })
    this.#socket.on('error', () => {}) // What is not answered is seen.
  }

  send (request: Buffer): void {
    this.#socket.write(request)
  }

  close (): void {
    this.#socket.destroy()
  }

  #read (): void {
    let from = 0
    for (;;) {
      const head = this.#unread.indexOf(HEAD_END, from)
      if (head === -1) break
      const [, length = '0'] = /\r\ncontent-length: (\d+)/i.exec(this.#unread.slice(from, head)) ?? []
      const end = head + HEAD_END.length + Number(length)
      if (end > this.#unread.length) break
      if (this.#unread.startsWith('HTTP/1.1 2', from)) this.answered++
      else this.refused++
      from = end
    }
    this.#unread = this.#unread.slice(from)
  }
}
