import type { HistoryPolicy } from '../broker/broker.ts'
import { InvalidPattern, matches, type Pattern, parsePattern, quote, splitName } from '../protocol/room-pattern.ts'

/** How a room is kept. */
export interface RoomPolicy {
  /** What is remembered; undefined for nothing: then messages have no position and arrive at most once. */
  history: HistoryPolicy | undefined
  /** Whether it is known, and announced, who is there. */
  presence: boolean
  /** Who may publish: whoever is granted it, or of those only who comes over REST, and the application itself. */
  publish: 'clients' | 'server'
}

/** A policy for the rooms that a pattern matches. What it does not say is as everywhere. */
export interface PolicyRule {
  pattern: string
  history?: { size?: number, ttlSeconds?: number } | false
  presence?: boolean
  publish?: RoomPolicy['publish']
}

/** The policies of all rooms: of the first rule whose pattern matches, or the one for everywhere else. */
export class RoomPolicies {
  readonly #standard: RoomPolicy
  readonly #rules: { pattern: Pattern, policy: RoomPolicy }[]

  /**
   * Throws `InvalidPattern`.
   *
   * @param history of rooms that no rule says it for; a size or an age of 0 is none
   */
  constructor (history: HistoryPolicy, rules: PolicyRule[] = []) {
    this.#standard = { history: positive(history), presence: true, publish: 'clients' }
    this.#rules = rules.map(({ pattern, history: own, presence = true, publish = 'clients' }) => ({
      pattern: parseRoomPattern(pattern),
      policy: { history: own === false ? undefined : positive({ ...history, ...own }), presence, publish }
    }))
  }

  /** How a room is kept. */
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
