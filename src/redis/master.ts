import { Probe, PROBE } from './probe.ts'
import { Requester, type RequesterOptions } from './requester.ts'
import { Subscriber, type SubscriberOptions } from './subscriber.ts'

export interface MasterOptions extends RequesterOptions, Omit<SubscriberOptions, 'ignored'> {
  /** `SPUBLISH` in a cluster, otherwise `PUBLISH`. */
  publishCommand: string
}

/** One Redis server: a connection for requests, a connection for subscriptions, and a probe of the latter. */
export class Master {
  readonly requester: Requester
  readonly subscriber: Subscriber
  readonly #probe: Probe

  constructor (options: MasterOptions) {
    this.requester = new Requester(options)
    this.subscriber = new Subscriber({ ...options, ignored: PROBE })
    this.#probe = new Probe(this.requester, this.subscriber, options.publishCommand)
  }

  /** Whether both connections are ready. */
  get usable (): boolean {
    return this.requester.usable && this.subscriber.usable
  }

  /** Time of the latest sign of life on the quieter connection, ms since 1970. */
  get heardAt (): number {
    return Math.min(this.requester.heardAt, this.subscriber.heardAt)
  }

  get probeFailures (): number {
    return this.#probe.failures
  }

  close (): void {
    this.#probe.stop()
    this.requester.close()
    this.subscriber.close()
  }
}
