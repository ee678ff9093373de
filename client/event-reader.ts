/** A server-sent event. */
export interface StreamEvent {
  type: string
  data: string
}

/** The longest event, characters. */
const MAX_CHARACTERS = 64 * 1024 * 1024

/** Reads server-sent events (HTML, section 9.2.6) without their ids: frames have the positions. Throws for an event without an end. */
export async function * readEvents (body: ReadableStream<Uint8Array>, onSign: () => void): AsyncGenerator<StreamEvent> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let type = ''
  let data: string[] = []
  let size = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      onSign()
      size += value.length
      if (size > MAX_CHARACTERS) throw new Error('The service sent an event that is too long')
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield { type, data: data.join('\n') }
          type = ''
          data = []
          size = 0
          continue
        }
        const colon = line.indexOf(':')
        const field = colon < 0 ? line : line.slice(0, colon)
        const text = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
        if (field === 'event') type = text
        else if (field === 'data') data.push(text)
      }
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}
