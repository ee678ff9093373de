import type { Status } from '../index.ts'
import type { AnyClient } from './client-source.ts'
import { Store } from './store.ts'

/** The status of a client, for an application that has made the client itself. */
export class StatusStore extends Store<{ readonly status: Status }> {
  readonly #client: AnyClient | undefined
  #unlisten = (): void => {}

  constructor (client: AnyClient | undefined) {
    super({ status: client?.status ?? { state: 'connecting' } })
    this.#client = client
  }

  protected start (): void {
    const client = this.#client
    if (client === undefined) return
    this.#unlisten = client.on('status', (status) => { this.update({ status }) })
    this.update({ status: client.status })
  }

  protected stop (): void {
    this.#unlisten()
  }
}
