import type { Results, ShapeResults } from './results.ts'

const OURS = 'roomcast'

/** Whether a server is Roomcast, in whatever setting. */
export function isRoomcast (peer: string): boolean {
  return peer.toLowerCase().startsWith(OURS)
}

/** The server that a shape's target is for: Roomcast, or where it is the baseline itself, Roomcast in another setting. */
export function findOurs ({ measured, baseline }: ShapeResults): string | undefined {
  const ours = [...new Set(measured.map(({ peer }) => peer))].filter(isRoomcast)
  return ours.find((peer) => peer !== baseline && peer.toLowerCase() === OURS) ?? ours.find((peer) => peer !== baseline) ?? ours[0]
}

/** All servers that were measured in some shapes: Roomcast first, then the baseline, then the others as they come. */
export function listPeers (shapes: readonly ShapeResults[]): string[] {
  const peers = [...new Set(shapes.flatMap(({ measured }) => measured.map(({ peer }) => peer)))]
  const baselines = new Set(shapes.map(({ baseline }) => baseline))
  const rank = (peer: string): number => isRoomcast(peer) ? 0 : baselines.has(peer) ? 1 : 2
  return peers.sort((a, b) => rank(a) - rank(b))
}

/** A shape by its name, if it was measured. */
export function findShape ({ shapes }: Results, name: string): ShapeResults | undefined {
  return shapes.find(({ shape, measured }) => shape === name && measured.length > 0)
}
