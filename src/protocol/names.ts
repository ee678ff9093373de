/** A room's name as clients write it; names that start with `@` are the service's own. */
export const ROOM_PATTERN = '^[A-Za-z0-9_.:=|+~-][A-Za-z0-9_.:@=|+~-]{0,127}$'

/** The rule of room names, for people. */
export const ROOM_RULE = 'Room names are 1–128 of the characters A–Z a–z 0–9 _ . : @ = | + ~ - and do not start with @'

/** A room's name in a frame: an ordinary one, or the alias of an automatic room. */
export const ROOM_OR_ALIAS_PATTERN = '^(?:@user|@all|[A-Za-z0-9_.:=|+~-][A-Za-z0-9_.:@=|+~-]{0,127})$'

/** A client's own name across its connections, for `echo` and `exclude`. */
export const ORIGIN_PATTERN = '^[A-Za-z0-9_-]{16,64}$'

/** The room of all connections. */
export const ALL_ROOM = '@all'

/** The name of a user's own room in frames; its real name is `userRoom(user)`. */
export const USER_ALIAS = '@user'

/** The rooms that every connection joins automatically, by the names that clients use. */
export const AUTOMATIC_ROOMS: readonly string[] = [USER_ALIAS, ALL_ROOM]

const ROOM = new RegExp(ROOM_PATTERN)
const ORIGIN = new RegExp(ORIGIN_PATTERN)
// eslint-disable-next-line no-control-regex
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f]/

/** Texts without control characters. */
export const PRINTABLE_PATTERN = '^[^\\u0000-\\u001f\\u007f]*$'
/** Keys of publishes: texts without control characters and without a space at either end, where HTTP would remove it from a header. */
export const KEY_PATTERN = '^[^\\u0000-\\u0020\\u007f](?:[^\\u0000-\\u001f\\u007f]*[^\\u0000-\\u0020\\u007f])?$'
/** The longest event of a message, and the longest key of a publish, in characters (code points). */
export const MAX_EVENT_CHARACTERS = 128
export const MAX_KEY_CHARACTERS = 255

const PRINTABLE = new RegExp(PRINTABLE_PATTERN)
const KEY = new RegExp(KEY_PATTERN, 'u')

/** The user of the application that embeds Roomcast. */
export const SERVER_USER = 'server'
/** The start of the names of API keys. */
const KEY_USER_PREFIX = 'key:'

/** The longest user name (a token's `sub`), in bytes of UTF-8. */
export const MAX_USER_BYTES = 255

/** Whether a name may be used for a room by clients and backends. */
export function isRoomName (name: unknown): boolean {
  return typeof name === 'string' && ROOM.test(name)
}

/** Whether a name may be an origin. */
export function isOrigin (name: unknown): name is string {
  return typeof name === 'string' && ORIGIN.test(name)
}

/** Whether a text may be the event of a message. */
export function isEvent (text: unknown): text is string {
  return typeof text === 'string' && text !== '' && isWithin(text, MAX_EVENT_CHARACTERS) && PRINTABLE.test(text)
}

/** Whether a text may be the key of a publish. */
export function isKey (text: unknown): text is string {
  return typeof text === 'string' && isWithin(text, MAX_KEY_CHARACTERS) && KEY.test(text) && text.isWellFormed()
}

/** Whether a name may be a user: 1–255 bytes of well-formed text without control characters. */
export function isUser (name: unknown): name is string {
  return typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= MAX_USER_BYTES &&
    !CONTROL_CHARACTERS.test(name) && name.isWellFormed()
}

/** Whether a name is reserved: no token may have it as `sub`, so that no user can publish as the application or as an API key. */
export function isReservedUser (name: string): boolean {
  return name === SERVER_USER || name.startsWith(KEY_USER_PREFIX)
}

/** The room of all connections of one user. */
export function userRoom (user: string): string {
  return `${USER_ALIAS}:${user}`
}

/** Whether a name is a client's name for an automatic room. */
export function isAlias (name: string): boolean {
  return name === USER_ALIAS || name === ALL_ROOM
}

/** Whether connections join a room automatically. */
export function isAutomatic (room: string): boolean {
  return room.charCodeAt(0) === 0x40 // @
}

/** The name of a room in the frames of its members: a user's own room is `@user`. */
export function roomLabel (room: string): string {
  return room.startsWith(`${USER_ALIAS}:`) ? USER_ALIAS : room
}

/** Whether a text has at most so many characters (code points, of one or two units each). */
function isWithin (text: string, maxCharacters: number): boolean {
  return text.length <= maxCharacters || (text.length <= 2 * maxCharacters && [...text].length <= maxCharacters)
}
