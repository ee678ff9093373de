/** Keeps the latest messages of a room, and shows them whenever they change. */
export async function follow (client, name, limit, show) {
  const room = client.room(name)
  let messages = []
  room.on('message', (message) => {
    messages = [...messages, message].slice(-limit)
    show(messages)
  })
  await room.join({
    // The client calls this at first, and again whenever messages may be missing. It delivers later messages afterwards.
    async load () {
      const page = await room.history({ limit })
      messages = page.messages
      show(messages)
      return page // Its position: the client leaves out the messages that the page has.
    }
  })
}
