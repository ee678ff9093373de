import { isAutomatic } from './names.ts'

/** A pattern that cannot be used; `message` gives the reason. */
export class InvalidPattern extends Error {
  override readonly name = 'InvalidPattern'
}

/** A literal, or null for `*`. */
type Segment = string | null

/**
 * A pattern of room names. Segments are separated by `:`. `*` matches one segment, `**` at the end one or more,
 * everything else itself. Names that start with `@` match only patterns that start with `@`.
 */
export interface Pattern {
  segments: Segment[]
  /** Whether it ends with `**` and so matches one segment or more behind `segments`. */
  open: boolean
  reserved: boolean
}

/** All ordinary rooms, and all automatic rooms. */
export const EVERY_ROOM: Pattern = { segments: [], open: true, reserved: false }
export const EVERY_AUTOMATIC_ROOM: Pattern = { segments: [], open: true, reserved: true }

/**
 * Reads a pattern; throws `InvalidPattern`.
 *
 * @param user replaces a segment `{sub}`, as one literal segment even if it contains `:`, because the pattern is split first
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

/** A room's name in segments, for matching. A user's own room `@user:<name>` is two segments, for every name. */
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
