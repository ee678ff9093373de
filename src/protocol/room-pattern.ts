import { isAutomatic } from './names.ts'

/** A pattern that cannot be used; `message` says what is wrong with it. */
export class InvalidPattern extends Error {
  override readonly name = 'InvalidPattern'
}

/** A literal, or null for `*`. */
type Segment = string | null

/**
 * Which rooms something is about. Segments are separated by `:`. `*` matches one segment, `**` at the end one or more,
 * everything else itself. Names that start with `@` match only patterns that start with `@`.
 */
export interface Pattern {
  segments: Segment[]
  /** Ends with `**`: matches one segment or more behind `segments`. */
  open: boolean
  reserved: boolean
}

/** Every room but the automatic ones; and those. */
export const EVERY_ROOM: Pattern = { segments: [], open: true, reserved: false }
export const EVERY_AUTOMATIC_ROOM: Pattern = { segments: [], open: true, reserved: true }

/**
 * Reads a pattern; throws `InvalidPattern`.
 *
 * @param user stands for a segment `{sub}`, as one literal segment whatever is in it: the pattern is split before it is
 * filled in
 */
export function parsePattern (pattern: string, user?: string): Pattern {
  const segments = pattern.split(':')
  const open = segments.at(-1) === '**'
  if (open) segments.pop()
  return {
    segments: segments.map((segment) => {
      if (segment === '*') return null
      if (segment === '{sub}' && user !== undefined) return user
      if (segment.includes('*')) {
        throw new InvalidPattern(`in the pattern ${quote(pattern)} a * is not a whole segment, or ** is not the last`)
      }
      return segment
    }),
    open,
    reserved: pattern.startsWith('@')
  }
}

/** A room's name, taken apart to be matched. A user's own room `@user:<name>` is two segments, whatever the name. */
export interface SplitName {
  segments: string[]
  reserved: boolean
}

export function splitName (room: string): SplitName {
  if (!isAutomatic(room)) return { segments: room.split(':'), reserved: false }
  const colon = room.indexOf(':')
  return { segments: colon === -1 ? [room] : [room.slice(0, colon), room.slice(colon + 1)], reserved: true }
}

export function matches ({ segments, open, reserved }: Pattern, name: SplitName): boolean {
  if (reserved !== name.reserved) return false
  if (open ? name.segments.length <= segments.length : name.segments.length !== segments.length) return false
  for (let i = 0; i < segments.length; i++) {
    if (segments[i] !== null && segments[i] !== name.segments[i]) return false
  }
  return true
}

export function quote (pattern: string): string {
  return JSON.stringify(pattern.slice(0, 128))
}
