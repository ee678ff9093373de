// Taken when the module is loaded: fake timers of a test runner may replace it later.
const { setTimeout } = globalThis
/** Turns of the event loop after which promises and dynamic imports count as settled. */
const TURNS = 4
/** The hooks for React gather changes for 10 ms of real time, ms. */
const GATHERED_MS = 20

/**
 * Runs tasks one by one, in the order of their arrival and each in its own turn of the event loop: the promises that a task
 * resolves are handled before the next task, as between two messages of a real WebSocket.
 */
export class EventLoop {
  readonly #tasks: (() => void)[] = []
  #running: Promise<void> | undefined

  /** Adds a task. */
  push (task: () => void): void {
    this.#tasks.push(task)
    this.#running ??= this.#run().finally(() => { this.#running = undefined })
  }

  /** Resolves when no task is left, and the promises that the tasks resolved are handled. */
  async idle (): Promise<void> {
    do {
      await this.#running
      await turn()
    } while (this.#running !== undefined)
  }

  /** The same, and waits also for work that takes a moment of real time, such as a dynamic import. */
  async settle (): Promise<void> {
    for (let i = 0; i < TURNS; i++) {
      await new Promise((resolve) => { setTimeout(resolve, 0) })
      await this.idle()
    }
  }

  /** The same, and waits also for the hooks to render. */
  async rest (): Promise<void> {
    await this.settle()
    await new Promise((resolve) => { setTimeout(resolve, GATHERED_MS) })
    await this.idle()
  }

  async #run (): Promise<void> {
    for (;;) {
      await turn()
      const task = this.#tasks.shift()
      if (task === undefined) return
      try {
        task()
      } catch (error) {
        setTimeout(() => { throw error }, 0) // As of a listener of a real WebSocket.
      }
    }
  }
}

/** Resolves in the next turn of the event loop. A message channel has no least delay; simulated pages have none. */
async function turn (): Promise<void> {
  const { MessageChannel } = globalThis as { MessageChannel?: typeof globalThis.MessageChannel }
  if (MessageChannel === undefined) {
    await new Promise((resolve) => { setTimeout(resolve, 0) })
    return
  }
  const { port1, port2 } = new MessageChannel()
  await new Promise((resolve) => {
    port1.onmessage = resolve
    port2.postMessage(undefined)
  })
  port1.close()
}
