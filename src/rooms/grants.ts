import { isAutomatic } from '../protocol/names.ts'

/** What somebody may do in a room, each a bit. */
export const ACTIONS = { join: 1, publish: 2, history: 4, members: 8, manage: 16 } as const
const EVERY_ACTION = 31

export type Action = keyof typeof ACTIONS

const MAX_PATTERNS = 64
const MAX_BYTES = 8 * 1024

/** The claim as it stands in a token: patterns of room names, and what may be done in the rooms they match. */
export type GrantsClaim = Record<string, string[]>

/** A claim that cannot be granted; `message` says what is wrong with it. */
export class InvalidGrants extends Error {
  override readonly name = 'InvalidGrants'
}

interface Pattern {
  /** Segments to match; a `{sub}` segment has been filled in. */
  segments: Segment[]
  /** Ends with `**`: matches one segment or more behind `segments`. */
  open: boolean
  reserved: boolean
  actions: number
}

/** A literal, or null for `*`. */
type Segment = string | null

/**
 * Grants, compiled for one user. They add up, and nothing denies.
 *
 * Segments are separated by `:`. `*` matches one segment, `**` at the end one or more, everything else itself.
 * `{sub}` is the user's own name as one literal segment, whatever is in it: the pattern is split before it is
 * filled in. Names that start with `@` match only patterns that start with `@`.
 */
export class Grants {
  readonly #patterns: Pattern[]

  private constructor (patterns: Pattern[]) {
    this.#patterns = patterns
  }

  /** Compiles a claim; throws `InvalidGrants`. */
  static compile (claim: unknown, user: string): Grants {
    if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) throw new InvalidGrants('grants are an object of patterns and lists of actions')
    const entries = Object.entries(claim)
    if (entries.length > MAX_PATTERNS) throw new InvalidGrants(`grants have at most ${MAX_PATTERNS} patterns`)
    if (Buffer.byteLength(JSON.stringify(claim)) > MAX_BYTES) throw new InvalidGrants(`grants take at most ${MAX_BYTES} bytes`)
    return new Grants(entries.map(([pattern, actions]) => compilePattern(pattern, actions, user)))
  }

  /** Everything everywhere: for the application that Roomcast runs in. */
  static readonly everything = new Grants([
    { segments: [], open: true, reserved: false, actions: EVERY_ACTION },
    { segments: [], open: true, reserved: true, actions: EVERY_ACTION }
  ])

  /** The actions granted in a room, as bits. A user's own room `@user:<name>` is two segments, whatever the name. */
  actionsIn (room: string): number {
    const reserved = isAutomatic(room)
    const segments = reserved ? splitReserved(room) : room.split(':')
    let actions = 0
    for (const pattern of this.#patterns) {
      if (pattern.reserved === reserved && matches(pattern, segments)) actions |= pattern.actions
    }
    return actions
  }

  allow (action: Action, room: string): boolean {
    return (this.actionsIn(room) & ACTIONS[action]) !== 0
  }
}

function compilePattern (pattern: string, actions: unknown, user: string): Pattern {
  if (!Array.isArray(actions)) throw new InvalidGrants(`the actions for ${quote(pattern)} are not a list`)
  let bits = 0
  for (const action of actions) {
    if (action === '*') bits |= EVERY_ACTION
    else if (typeof action === 'string' && Object.hasOwn(ACTIONS, action)) bits |= ACTIONS[action as Action]
    else throw new InvalidGrants(`the actions for ${quote(pattern)} are ${Object.keys(ACTIONS).join(', ')} and *`)
  }
  const segments = pattern.split(':')
  const open = segments.at(-1) === '**'
  if (open) segments.pop()
  return {
    segments: segments.map((segment) => {
      if (segment === '*') return null
      if (segment === '{sub}') return user
      if (segment.includes('*')) throw new InvalidGrants(`in the pattern ${quote(pattern)} a * is not a whole segment, or ** is not the last`)
      return segment
    }),
    open,
    reserved: pattern.startsWith('@'),
    actions: bits
  }
}

function matches ({ segments, open }: Pattern, name: string[]): boolean {
  if (open ? name.length <= segments.length : name.length !== segments.length) return false
  for (let i = 0; i < segments.length; i++) {
    if (segments[i] !== null && segments[i] !== name[i]) return false
  }
  return true
}

function splitReserved (room: string): string[] {
  const colon = room.indexOf(':')
  return colon === -1 ? [room] : [room.slice(0, colon), room.slice(colon + 1)]
}

function quote (pattern: string): string {
  return JSON.stringify(pattern.slice(0, 128))
}
