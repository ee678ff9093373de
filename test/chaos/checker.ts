import type { Position } from '../../src/protocol/position.ts'
import type { Final, MessageId, Publish, Records, Sight, View } from './records.ts'

/** Something that must not be, and the records that show it. */
export interface Violation {
  rule: string
  text: string
  excerpt: string[]
}

/** Sights before an offending one that are shown with it. */
const CONTEXT = 3

/**
 * Judges a run by its records alone. The rules:
 *
 * - *order*: behind `joined` and `reset` a subscriber gets the offsets one after the other; none twice, none left out, and none
 *   before it is in the room
 * - *one message*: a position has one message, whoever looks
 * - *exactly once*: a message has one position; another one only in another epoch, and that only where Redis forgets
 * - *acknowledged*: what was acknowledged is where the answer said, and its publisher's earlier messages are before it
 * - *declared*: `recovered: true` goes on from `since`; a loss is declared only where there may be one
 * - *kept*: history has the acknowledged messages that it is to have
 * - *convergence*: in the end every subscriber is where its rooms are
 * - *alive*: nothing ended by itself
 */
export function check (records: Records): Violation[] {
  const violations: Violation[] = []
  const places = new Places(violations)
  const finals = new Map(records.finals.map((final) => [final.room, final]))
  for (const { room, position: { epoch }, messages } of records.finals) {
    for (const { offset, id } of messages) places.put(room, { epoch, offset }, id, `history of ${room}`)
  }
  for (const view of records.views) checkView(view, records, finals.get(view.room), places, violations)
  checkPublishes(records, finals, places, violations)
  for (const { at, text } of records.incidents) {
    violations.push({ rule: 'alive', text, excerpt: [`${seconds(at)}  ${text}`] })
  }
  return violations.map((violation) => ({ ...violation, excerpt: [...violation.excerpt, ...faultsAround(records, violation.excerpt)] }))
}

/** Where messages are: a position has one message, and a message one position. */
class Places {
  readonly #violations: Violation[]
  readonly #ids = new Map<string, { id: MessageId, seen: string }>()
  /** By room and message. */
  readonly #positions = new Map<string, { position: Position, seen: string }[]>()

  constructor (violations: Violation[]) {
    this.#violations = violations
  }

  put (room: string, position: Position, id: MessageId, seen: string): void {
    const place = `${room} ${format(position)}`
    const known = this.#ids.get(place)
    if (known === undefined) {
      this.#ids.set(place, { id, seen })
      const positions = this.#positions.get(`${room} ${id}`)
      if (positions === undefined) this.#positions.set(`${room} ${id}`, [{ position, seen }])
      else positions.push({ position, seen })
    } else if (known.id !== id) {
      this.#violations.push({
        rule: 'one message',
        text: `${place} is message ${known.id} and message ${id}`,
        excerpt: [`${known.seen}: ${known.id}`, `${seen}: ${id}`]
      })
    }
  }

  of (room: string, id: MessageId): { position: Position, seen: string }[] {
    return this.#positions.get(`${room} ${id}`) ?? []
  }
}

function checkView (view: View, records: Records, final: Final | undefined, places: Places, violations: Violation[]): void {
  const { subscriber, room, sights } = view
  let last: Position | undefined
  let isIn = false
  const offend = (rule: string, text: string, at: number): void => {
    violations.push({
      rule,
      text: `${subscriber} in ${room}: ${text}`,
      excerpt: sights.slice(Math.max(0, at - CONTEXT), at + 1).map(describe)
    })
  }
  for (const [i, sight] of sights.entries()) {
    if (sight.kind === 'closed') {
      isIn = false
      continue
    }
    if (sight.kind === 'message') {
      if (!isIn) offend('order', `message ${sight.id} before joined`, i)
      if (last !== undefined) {
        if (sight.offset <= last.offset) offend('order', `offset ${sight.offset} after ${last.offset}`, i)
        else if (sight.offset !== last.offset + 1) {
          offend(
            'order',
            `offset ${sight.offset} after ${last.offset}: ${sight.offset - last.offset - 1} are missing and nothing was declared`,
            i
          )
        }
        last = { epoch: last.epoch, offset: sight.offset }
        places.put(room, last, sight.id, `${subscriber} at ${seconds(sight.at)}`)
      }
      continue
    }
    if (sight.kind === 'joined') {
      isIn = true
      checkJoined(sight, last, records, (text) => { offend('declared', text, i) })
      last = sight.recovered === true ? sight.since : sight.position
      continue
    }
    if (records.durable) {
      if (sight.reason === 'epoch') offend('declared', 'a new epoch, though Redis kept everything', i)
      else if (last !== undefined && sight.position.offset - last.offset <= records.pageMessages) {
        offend('declared', `a loss that history could have filled: ${sight.position.offset - last.offset} messages`, i)
      }
    }
    last = sight.position
  }
  if (final !== undefined && (!isIn || last?.epoch !== final.position.epoch || last.offset !== final.position.offset)) {
    violations.push({
      rule: 'convergence',
      text: `${subscriber} is at ${last === undefined ? 'nothing' : format(last)} of ${room}${isIn ? '' : ', and not in it'}; ` +
        `the room is at ${format(final.position)}`,
      excerpt: sights.slice(-CONTEXT).map(describe)
    })
  }
}

function checkJoined (
  { since, recovered, missed, position }: Sight & { kind: 'joined' },
  last: Position | undefined,
  { durable, pageMessages }: Records,
  offend: (text: string) => void
): void {
  if (since === undefined) {
    if (recovered !== undefined) offend('recovered without since')
    return
  }
  if (last === undefined || since.epoch !== last.epoch || since.offset !== last.offset) offend(`since ${format(since)} is not where it was`)
  if (recovered === true) {
    if (position.epoch !== since.epoch) offend(`recovered ${format(since)} in epoch ${position.epoch}`)
    if (position.offset - since.offset !== missed) offend(`from ${format(since)} to ${format(position)} there are not ${missed} messages`)
  } else if (recovered !== false) {
    offend('neither recovered nor not')
  } else if (durable) {
    if (position.epoch !== since.epoch) offend(`a new epoch, though Redis kept everything: ${format(since)}, then ${format(position)}`)
    else if (position.offset - since.offset <= pageMessages) {
      offend(`recovered: false, though history has the ${position.offset - since.offset} messages`)
    }
  }
}

function checkPublishes (records: Records, finals: Map<string, Final>, places: Places, violations: Violation[]): void {
  /** The latest acknowledged position of a publisher in a room. */
  const latest = new Map<string, { publish: Publish, position: Position }>()
  for (const publish of records.publishes) {
    const { id, room, publisher, acknowledged } = publish
    const seen = places.of(room, id)
    const offend = (rule: string, text: string): void => {
      violations.push({
        rule,
        text: `message ${id} in ${room}: ${text}`,
        excerpt: [describePublish(publish), ...seen.map(({ position, seen }) => `${seen}: ${format(position)}`)]
      })
    }
    const epochs = new Set(seen.map(({ position }) => position.epoch))
    if (seen.length > epochs.size) offend('exactly once', `it is at ${seen.map(({ position }) => format(position)).join(' and ')}`)
    else if (records.durable && seen.length > 1) {
      offend('exactly once', `it is at ${seen.map(({ position }) => format(position)).join(' and ')}`)
    }
    if (acknowledged === undefined) {
      if (publish.isUnknown !== true) offend('convergence', 'nobody ever answered')
      continue
    }
    const { position } = acknowledged
    // Seen in that epoch by anybody, it has to be at that place; seen by nobody, the place may not be another's.
    const there = seen.find((one) => one.position.epoch === position.epoch)
    if (there !== undefined && there.position.offset !== position.offset) {
      offend('acknowledged', `acknowledged at ${format(position)}, and seen at ${format(there.position)}`)
    }
    places.put(room, position, id, `answer to publisher ${publisher} at ${seconds(acknowledged.at)}`)
    const before = latest.get(`${publisher} ${room}`)
    if (before?.position.epoch === position.epoch && before.position.offset >= position.offset) {
      offend('acknowledged', `it is at ${format(position)}, and message ${before.publish.id} before it at ${format(before.position)}`)
    }
    latest.set(`${publisher} ${room}`, { publish, position })
    checkKept(publish, position, finals.get(room), records, offend)
  }
}

function checkKept (
  { id }: Publish,
  { epoch, offset }: Position,
  final: Final | undefined,
  { durable }: Records,
  offend: (rule: string, text: string) => void
): void {
  if (final === undefined) return
  if (final.position.epoch !== epoch) {
    if (durable) offend('kept', `acknowledged in epoch ${epoch}; the room is in ${final.position.epoch}`)
    return
  }
  const first = final.messages[0]?.offset ?? Infinity
  if (offset > final.position.offset) offend('kept', `acknowledged at ${offset}; the room ends at ${final.position.offset}`)
  else if (offset >= first && final.messages[offset - first]?.id !== id) {
    offend('kept', `acknowledged at ${offset}, where history has ${final.messages[offset - first]?.id ?? 'nothing'}`)
  }
}

/** The violation that is understood most easily: with the shortest excerpt. */
export function smallest (violations: Violation[]): Violation | undefined {
  return violations.toSorted((a, b) => a.excerpt.length - b.excerpt.length)[0]
}

export function format ({ epoch, offset }: Position): string {
  return `${epoch}:${offset}`
}

export function seconds (ms: number): string {
  return `${(ms / 1_000).toFixed(3)} s`
}

function describe (sight: Sight): string {
  const at = seconds(sight.at)
  switch (sight.kind) {
    case 'message': return `${at}  message ${sight.id} at offset ${sight.offset}`
    case 'closed': return `${at}  closed with ${sight.code}`
    case 'reset': return `${at}  reset (${sight.reason}) to ${format(sight.position)}`
    case 'joined': return `${at}  joined at ${format(sight.position)}${describeResume(sight)}`
  }
}

function describeResume ({ since, recovered, missed }: Sight & { kind: 'joined' }): string {
  if (since === undefined) return ''
  return ` since ${format(since)}, recovered: ${recovered}${missed === undefined ? '' : `, missed: ${missed}`}`
}

function describePublish ({ id, firstAt, attempts, acknowledged, isUnknown }: Publish): string {
  const answer =
    acknowledged === undefined
      ? (isUnknown === true ? 'unknown' : 'not acknowledged')
      : `acknowledged at ${seconds(acknowledged.at)} as ${format(acknowledged.position)}${acknowledged.replayed ? ', a replay' : ''}`
  return `${seconds(firstAt)}  publish ${id}: ${attempts.join(', ')}; ${answer}`
}

/** What was done shortly before the last thing that an excerpt shows. */
function faultsAround ({ faults }: Records, excerpt: string[]): string[] {
  const end = Math.max(...excerpt.map((line) => Number(/^(\d+\.\d+) s/.exec(line)?.[1] ?? 0))) * 1_000
  return faults.filter(({ at }) => at <= end && at > end - 10_000).slice(-CONTEXT).map(({ at, text }) => `${seconds(at)}  [${text}]`)
}
