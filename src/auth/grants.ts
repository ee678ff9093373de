import {
  EVERY_AUTOMATIC_ROOM, EVERY_ROOM, InvalidPattern, matches, type Pattern, parsePattern, quote, splitName
} from '../protocol/room-pattern.ts'

/** The actions in a room, each a bit. */
export const ACTIONS = { join: 1, publish: 2, history: 4, members: 8, manage: 16 } as const
const EVERY_ACTION = 31

export type Action = keyof typeof ACTIONS

const MAX_PATTERNS = 64
const MAX_BYTES = 8 * 1024

/** Grants as a token carries them: patterns of room names, and the actions allowed in matching rooms. */
export type GrantsClaim = Record<string, string[]>

/** A claim that cannot be granted; `message` gives the reason. */
export class InvalidGrants extends Error {
  override readonly name = 'InvalidGrants'
}

interface Grant {
  pattern: Pattern
  /** The allowed actions, as bits. */
  actions: number
}

/** Grants, compiled for one user, whose name stands for `{sub}` in the patterns. Grants add up; no grant denies. */
export class Grants {
  readonly #grants: Grant[]

  private constructor (grants: Grant[]) {
    this.#grants = grants
  }

  /** Compiles a claim; throws `InvalidGrants`. */
  static compile (claim: unknown, user: string): Grants {
    if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) {
      throw new InvalidGrants('grants are an object of patterns and lists of actions')
    }
    const entries = Object.entries(claim)
    for (const [pattern, actions] of entries) checkActions(pattern, actions)
    if (entries.length > MAX_PATTERNS) throw new InvalidGrants(`grants have at most ${MAX_PATTERNS} patterns`)
    if (Buffer.byteLength(JSON.stringify(claim)) > MAX_BYTES) throw new InvalidGrants(`grants take at most ${MAX_BYTES} bytes`)
    return new Grants(entries.map(([pattern, actions]) => compileGrant(pattern, actions, user)))
  }

  /** Every action in every room: for the application that embeds Roomcast. */
  static readonly everything = new Grants([
    { pattern: EVERY_ROOM, actions: EVERY_ACTION },
    { pattern: EVERY_AUTOMATIC_ROOM, actions: EVERY_ACTION }
  ])

  /** The actions granted in a room, as bits. */
  actionsIn (room: string): number {
    const name = splitName(room)
    let bits = 0
    for (const { pattern, actions } of this.#grants) if (matches(pattern, name)) bits |= actions
    return bits
  }

  allow (action: Action, room: string): boolean {
    return (this.actionsIn(room) & ACTIONS[action]) !== 0
  }
}

/** Checks the types before the claim is measured as JSON, which a BigInt cannot be. */
function checkActions (text: string, actions: unknown): asserts actions is string[] {
  if (!Array.isArray(actions)) throw new InvalidGrants(`the actions for ${quote(text)} are not a list`)
  if (!actions.every((action) => typeof action === 'string')) throw unknownAction(text)
}

function unknownAction (text: string): InvalidGrants {
  return new InvalidGrants(`the actions for ${quote(text)} are ${Object.keys(ACTIONS).join(', ')} and *`)
}

function compileGrant (text: string, actions: unknown, user: string): Grant {
  checkActions(text, actions)
  let bits = 0
  for (const action of actions) {
    if (action === '*') bits |= EVERY_ACTION
    else if (isAction(action)) bits |= ACTIONS[action]
    else throw unknownAction(text)
  }
  try {
    return { pattern: parsePattern(text, user), actions: bits }
  } catch (error) {
    throw error instanceof InvalidPattern ? new InvalidGrants(error.message) : error
  }
}

function isAction (action: string): action is Action {
  return Object.hasOwn(ACTIONS, action)
}
