export type { Readable } from './readable.ts'
export { type RoomReadable, roomStore, type RoomStoreOptions } from './room-store.ts'
export { statusStore } from './status-store.ts'
export type { RoomActions, RoomSnapshot } from '../stores/room-store.ts'
