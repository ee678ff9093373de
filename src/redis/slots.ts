import { type Address, nameOf } from './settings.ts'

/** Slots of a cluster. */
const SLOTS = 16_384

/** First and last slot, the master (name, port, …), its replicas: a line of CLUSTER SLOTS. */
export type SlotRange = [first: number, last: number, master: [string | null, number], ...replicas: unknown[]]

/** Who owns what in a cluster. */
export interface SlotMap {
  /** By slot. */
  owners: string[]
  masters: Map<string, Address>
}

/**
 * Reads what CLUSTER SLOTS says; undefined unless it names a master for every slot.
 *
 * @param host where it was asked: a master without a name is there
 */
export function readSlots (ranges: SlotRange[], host: string): SlotMap | undefined {
  const owners: string[] = []
  const masters = new Map<string, Address>()
  let count = 0
  for (const [first, last, [name, port]] of ranges) {
    const address = { host: name === '' || name === null ? host : name, port }
    masters.set(nameOf(address), address)
    for (let slot = first; slot <= last; slot++) owners[slot] = nameOf(address)
    count += last - first + 1
  }
  return count === SLOTS ? { owners, masters } : undefined
}
