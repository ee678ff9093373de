export { provideRoomcast, useRoomcast } from './provide.ts'
export { useRoom, type UseRoom, type UseRoomOptions } from './use-room.ts'
export { useStatus } from './use-status.ts'
export type { RoomActions, RoomSnapshot } from '../stores/room-store.ts'
