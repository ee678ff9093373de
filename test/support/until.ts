/** Waiting for something takes no longer than this: a test that hangs should say where, ms. */
export const PATIENCE_MS = 20_000

/** Resolves when a condition holds; looks again whenever the event loop has turned. */
export async function until (condition: () => boolean | Promise<boolean>, what = 'a condition'): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
