/**
 * Counts the letters to insert, remove, replace, or swap with their neighbour until two texts are equal (the optimal
 * string alignment distance). Gives up above `limit`, and returns `limit + 1`.
 */
export function editDistance (a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  const at = (row: number[], column: number): number => row[column] ?? Infinity
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const isEqual = a[row - 1] === b[column - 1]
      const isSwapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      current.push(Math.min(
        at(above, column) + 1,
        at(current, column - 1) + 1,
        at(above, column - 1) + (isEqual ? 0 : 1),
        isSwapped ? at(before, column - 2) + 1 : Infinity
      ))
    }
    if (Math.min(...current) > limit) return limit + 1
    before = above
    above = current
  }
  return Math.min(at(above, b.length), limit + 1)
}
