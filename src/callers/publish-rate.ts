import { RoomcastError } from '../errors.ts'
import { Allowance } from './allowance.ts'
import { CallerTable } from './caller-table.ts'

/** The rate at which each caller may publish over REST. */
export class PublishRate {
  readonly #allowances: CallerTable<Allowance>

  /** @param rate messages a second of one caller; 0 is no limit */
  constructor (rate: number, burst: number) {
    this.#allowances = new CallerTable(() => new Allowance(rate, burst), (allowance) => allowance.isFull)
  }

  /** Number of callers in memory. */
  get callers (): number {
    return this.#allowances.size
  }

  /** Admits the messages of one request, all or none; throws `rate_limited`. A refusal is free. */
  admit (user: string, messages: number): void {
    const allowance = this.#allowances.of(user)
    if (allowance.admit(messages)) return
    throw new RoomcastError('rate_limited', 'You publish too many messages a second; retry later', allowance.retryAfterMs)
  }
}
