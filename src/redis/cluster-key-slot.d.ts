declare module 'cluster-key-slot' {
  /** Computes the slot of a key in a cluster: the CRC16 of the text in its braces. */
  export default function calculateSlot (key: string): number
}
