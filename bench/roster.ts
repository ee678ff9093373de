import type { Results, ShapeResults } from './results.ts'

/** Whose figures the others are there for. */
export const ROOMCAST = 'roomcast'

/** All servers that were measured in some shapes: Roomcast first, then the baseline, then the others as they come. */
export function listPeers (shapes: readonly ShapeResults[]): string[] {
  const peers = [...new Set(shapes.flatMap(({ measured }) => measured.map(({ peer }) => peer)))]
  const baselines = new Set(shapes.map(({ baseline }) => baseline))
  const rank = (peer: string): number => peer === ROOMCAST ? 0 : baselines.has(peer) ? 1 : 2
  return peers.sort((a, b) => rank(a) - rank(b))
}

/** A shape by its name, if it was measured. */
export function findShape ({ shapes }: Results, name: string): ShapeResults | undefined {
  return shapes.find(({ shape, measured }) => shape === name && measured.length > 0)
}
