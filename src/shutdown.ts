/** Going down without losing anybody. */
export interface Shutdown {
  /** Load balancers should send nobody here any more. */
  readonly leaving: boolean
  /** New connections are refused. */
  readonly draining: boolean
  /** Lets the clients go, over `DRAIN_WINDOW_MS`; after that comes the application's `close()`. */
  drain: () => Promise<void>
}
