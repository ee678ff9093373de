declare module 'cluster-key-slot' {
  /** The slot of a key in a cluster: CRC16 of what is in its braces. */
  export default function calculateSlot (key: string): number
}
