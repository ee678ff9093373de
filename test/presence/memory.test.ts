import { MemoryPresence } from '../../src/presence/memory.ts'
import { conformance } from './conformance.ts'

conformance('memory', async () => {
  const presence = new MemoryPresence()
  return { presence, other: presence, cleanup: async () => {} }
})
