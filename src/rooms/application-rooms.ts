import { type Caller, type Identity, identityOf, SERVER } from '../auth/identity.ts'
import type { HistoryPage, Published } from '../broker/broker.ts'
import type { Content } from '../protocol/message.ts'
import { readContent, readHistoryOptions, readListOptions, readPublishOptions } from './arguments.ts'
import type { HistoryOptions, ListOptions, PublishOptions, RoomList, Rooms, RoomsFor, RoomSummary } from './rooms.ts'

/**
 * The rooms as the application uses them: `app.rooms`. No schema has seen the application's values, so they are checked here
 * by the rules of REST. All methods throw `RoomcastError`.
 */
export class ApplicationRooms {
  readonly #roomsFor: RoomsFor
  readonly #rooms: Rooms
  readonly #maxMessageBytes: number

  /**
   * @param maxMessageBytes size of a message; 0 is no limit
   * @param caller the application itself, unless told otherwise
   */
  constructor (roomsFor: RoomsFor, maxMessageBytes: number, caller: Identity = SERVER) {
    this.#roomsFor = roomsFor
    this.#rooms = roomsFor(caller)
    this.#maxMessageBytes = maxMessageBytes
  }

  /** The rooms as a user may use them. */
  as (caller: Caller): ApplicationRooms {
    return new ApplicationRooms(this.#roomsFor, this.#maxMessageBytes, identityOf(caller))
  }

  /**
   * Publishes a message to a room. Publishes of one caller keep their order, awaited or not.
   *
   * @param name a room, `@all`, `@user` (the caller's own) or `@user:<name>`
   */
  async publish (name: string, content: Content, options: Omit<PublishOptions, 'connection'> = {}): Promise<Published> {
    return await this.#rooms.publish(name, readContent(content, this.#maxMessageBytes), readPublishOptions(options))
  }

  /** Reads a page of a room's history. */
  async history (name: string, options: Omit<HistoryOptions, 'connection'> = {}): Promise<{ room: string, page: HistoryPage }> {
    return await this.#rooms.history(name, readHistoryOptions(options))
  }

  /** Deletes a room's history and keeps its position. */
  async forget (name: string): Promise<void> {
    await this.#rooms.forget(name)
  }

  /** Describes a room in which the caller has any grant. */
  async describe (name: string): Promise<RoomSummary> {
    return await this.#rooms.describe(name)
  }

  /** Lists the occupied rooms in which the caller has any grant, by name. */
  async list (options: ListOptions = {}): Promise<RoomList> {
    return await this.#rooms.list(readListOptions(options))
  }
}
