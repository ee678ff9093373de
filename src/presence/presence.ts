/** Who is in a room, over all nodes. A member is a user, however many connections they have. */
export interface Presence {
  /**
   * A connection of the user came into the room. Resolves with the members of the room if the user is a new one,
   * otherwise with undefined.
   */
  enter (room: string, user: string): Promise<number | undefined>

  /** A connection of the user left the room. Resolves with the members that are left if the user is none any more. */
  leave (room: string, user: string): Promise<number | undefined>

  /** Where it is told that users are gone because their node is: to one node, once. */
  listen (listener: (room: string, user: string, members: number) => void): void
}
