import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Counts } from './counts.ts'

const COUNTS = fileURLToPath(new URL('counts.js', import.meta.url))
/** Until a process that ended is started again, ms. */
const RESTART_MS = 200

export interface InstanceOptions {
  name: string
  program: string
  port: number
  environment: Record<string, string>
  /** It ended although nobody wanted it to. */
  onIncident: (text: string) => void
}

/** An instance of the service, which is started again whenever it ends, as a supervisor does. */
export class Instance {
  readonly port: number
  /** Of all its processes, added up. */
  readonly counts: Counts = { gaps: 0, filled: 0, resets: 0, duplicates: 0, probeFailures: 0 }
  readonly #options: InstanceOptions
  #process: ChildProcess | undefined
  /** Somebody has ended it, or it has not listened yet: then Redis may be away, and it is right to give up. */
  #mayEnd = true
  #downUntil = 0
  #stopped = false
  #running: Promise<void> | undefined

  constructor (options: InstanceOptions) {
    this.#options = options
    this.port = options.port
  }

  get url (): string {
    return `http://127.0.0.1:${this.port}`
  }

  start (): void {
    this.#running = this.#supervise()
  }

  /** Ends it with a signal; another one is started that much later, at the least. */
  end (signal: 'SIGKILL' | 'SIGTERM', downMs: number): void {
    this.#mayEnd = true
    this.#downUntil = Date.now() + downMs
    this.#process?.kill(signal)
  }

  freeze (): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw (): void {
    this.#process?.kill('SIGCONT')
  }

  /** Ends it for good. */
  async stop (): Promise<void> {
    this.#stopped = true
    this.#mayEnd = true
    this.#process?.kill('SIGKILL')
    await this.#running
  }

  async #supervise (): Promise<void> {
    while (!this.#stopped) {
      await this.#run()
      await sleep(Math.max(RESTART_MS, this.#downUntil - Date.now()))
    }
  }

  async #run (): Promise<void> {
    const { name, program, port, environment, onIncident } = this.#options
    const before = { ...this.counts }
    const child = spawn(process.execPath, ['--import', COUNTS, program], {
      cwd: tmpdir(), // A directory without a .env.
      env: { PATH: process.env.PATH ?? '', PORT: String(port), LOG_LEVEL: 'error', ...environment },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc']
    })
    this.#process = child
    this.#mayEnd = true
    let output = ''
    const read = (data: Buffer): void => {
      output += String(data)
      if (output.includes('listens on')) this.#mayEnd = false
      for (const line of String(data).split('\n')) {
        if (line.includes('"level":50') || line.includes('"level":60')) onIncident(`${name} logged ${line.slice(0, 500)}`)
      }
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.on('message', (message) => {
      for (const [key, count] of Object.entries(message as Counts)) this.counts[key as keyof Counts] = before[key as keyof Counts] + count
    })
    const [code, signal] = await new Promise<[number | null, string | null]>(
      (resolve) => { child.on('close', (...how) => { resolve(how) }) }
    )
    if (!this.#mayEnd) onIncident(`${name} ended by itself with ${code ?? signal}: ${output.slice(-500)}`)
  }
}
