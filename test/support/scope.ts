/** What servers of the tests live in: a test, or a run of the chaos checker. */
export interface Scope {
  /** Has something done when it is over. */
  teardown (end: () => unknown): unknown
}
