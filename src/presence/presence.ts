/** The members of rooms on all instances. A member is a user with any number of connections. */
export interface Presence {
  /**
   * Adds a connection of a user to a room. Resolves with the number of members if the user is a new one, otherwise with
   * undefined.
   */
  enter (room: string, user: string): Promise<number | undefined>

  /**
   * Removes a connection of a user from a room. Resolves with the number of members left if the user is not a member any
   * more, otherwise with undefined.
   */
  leave (room: string, user: string): Promise<number | undefined>

  /** Sets the receiver of members that were lost with their instance. Each lost member is announced once, on one instance. */
  listen (listener: (room: string, user: string, members: number) => void): void
}
