/** What a coming or going changed for the others. */
export interface PresenceChange {
  /** Whether the user was not in the room before, or is not any more: several connections of a user are one member. */
  changed: boolean
  /** Members of the room after it, over all nodes. */
  members: number
}

/** Who is in a room, over all nodes. A member is a user. */
export interface Presence {
  /** A connection of the user came into the room. */
  enter (room: string, user: string): Promise<PresenceChange>
  /** A connection of the user left the room. */
  leave (room: string, user: string): Promise<PresenceChange>
}
