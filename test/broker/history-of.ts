import type { HistoryOf } from '../../src/broker/broker.ts'
import { RoomPolicies } from '../../src/rooms/policies.ts'

/** The same history for every room; a size or an age of 0 is none. */
export function historyOf (size = 1_000, ttlSeconds = 3_600): HistoryOf {
  const policies = new RoomPolicies({ size, ttlSeconds })
  return (room) => policies.of(room).history
}
