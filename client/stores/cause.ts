/** A thrown value as an error: anything can be thrown. */
export function toCause (thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown })
}
