import type { LifeLock } from './life-lock.ts'

/*
 * The messages between a `PortWebSocket` in a page and its `TabSocket` in the worker. A text is a frame, in either direction.
 * A page sends the payload of a binary publish as an `ArrayBuffer`, behind its header.
 */

/** Opens a connection; the first message of a page, with its lock. */
export interface Open extends LifeLock {
  type: 'open'
  url: string
  protocols: string[]
}

/** A message of a page. */
export type PageMessage = string | ArrayBuffer | Open | { type: 'close' } | { type: 'checked' }

/**
 * A message of the worker: a frame, a binary message (header and payload), or a report. `ready` says that the worker runs,
 * and has its lock. A page answers `check` with `checked`, so that the worker knows the page's progress.
 */
export type WorkerMessage = string | [header: string, payload: ArrayBuffer]
  | ({ type: 'ready' } & LifeLock) | { type: 'open' } | { type: 'check' } | { type: 'closed', code: number }
