/** The limit of every wait, ms. It ends a test that hangs; on a busy machine, the start of two processes takes 20 s. */
export const PATIENCE_MS = 60_000

/** Resolves when a condition holds; looks again whenever the event loop has turned. */
export async function until (condition: () => boolean | Promise<boolean>, what = 'a condition'): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
