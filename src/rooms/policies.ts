import { createHash } from 'node:crypto'
import type { HistoryPolicy } from '../broker/broker.ts'
import { InvalidPattern, matches, type Pattern, parsePattern, quote, splitName } from '../protocol/room-pattern.ts'

/** The rules of a room. */
export interface RoomPolicy {
  /** The extent of the history; undefined for none. Then messages have no position and arrive at most once. */
  history: HistoryPolicy | undefined
  /** Whether the service records the members, and sends notices about them. */
  presence: boolean
  /** The publishers: all clients with the grant, or only the application and REST clients with the grant. */
  publish: 'clients' | 'server'
}

/** A policy for the rooms that a pattern matches. A missing property has its default. */
export interface PolicyRule {
  pattern: string
  history?: { size?: number, ttlSeconds?: number } | false
  presence?: boolean
  publish?: RoomPolicy['publish']
}

/** Enough to tell the policies of one deployment apart. */
const DIGEST_LENGTH = 12

/** The policies of all rooms: that of the first rule whose pattern matches, or the default. */
export class RoomPolicies {
  /** The same text for the same policies, so that instances can compare theirs. */
  readonly digest: string
  readonly #standard: RoomPolicy
  readonly #rules: { pattern: Pattern, policy: RoomPolicy }[]

  /**
   * Throws `InvalidPattern`.
   *
   * @param history the history of rooms without a rule for it; a size or an age of 0 turns it off
   */
  constructor (history: HistoryPolicy, rules: PolicyRule[] = []) {
    this.#standard = { history: positive(history), presence: true, publish: 'clients' }
    this.#rules = rules.map(({ pattern, history: own, presence = true, publish = 'clients' }) => ({
      pattern: parseRoomPattern(pattern),
      policy: { history: own === false ? undefined : positive({ ...history, ...own }), presence, publish }
    }))
    const content = JSON.stringify([this.#standard, rules.map(({ pattern }, i) => [pattern, this.#rules[i]?.policy])])
    this.digest = createHash('sha256').update(content).digest('base64url').slice(0, DIGEST_LENGTH)
  }

  /** Finds the policy of a room. */
  of (room: string): RoomPolicy {
    if (this.#rules.length === 0) return this.#standard
    const name = splitName(room)
    for (const { pattern, policy } of this.#rules) if (matches(pattern, name)) return policy
    return this.#standard
  }
}

function parseRoomPattern (text: string): Pattern {
  if (text.includes('{sub}')) throw new InvalidPattern(`the pattern ${quote(text)} has {sub}, and there is nobody whom that could be`)
  return parsePattern(text)
}

function positive (history: HistoryPolicy): HistoryPolicy | undefined {
  return history.size > 0 && history.ttlSeconds > 0 ? history : undefined
}
