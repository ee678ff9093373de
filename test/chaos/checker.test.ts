import { test } from 'tap'
import { check } from './checker.ts'
import type { Final, Publish, Records, Sight } from './records.ts'

const E = 'e'
const at = 1_000

function joined (offset: number, more: Partial<Sight & { kind: 'joined' }> = {}): Sight {
  return { kind: 'joined', at, position: { epoch: E, offset }, ...more }
}

function back (since: number, offset: number, recovered = true): Sight {
  return joined(offset, { since: { epoch: E, offset: since }, recovered, ...(recovered && { missed: offset - since }) })
}

function message (offset: number, id = `1:${offset}`): Sight {
  return { kind: 'message', at, offset, id }
}

function reset (offset: number, epoch = E, reason = 'history'): Sight {
  return { kind: 'reset', at, position: { epoch, offset }, reason }
}

const closed: Sight = { kind: 'closed', at, code: 1006 }

function publish (n: number, offset = n, more: Partial<Publish> = {}): Publish {
  return {
    id: `1:${n}`,
    publisher: 1,
    room: 'room',
    firstAt: at,
    attempts: ['REST 201'],
    acknowledged: { at, position: { epoch: E, offset }, replayed: false },
    ...more
  }
}

function unknown (n: number): Publish {
  return publish(n, n, { acknowledged: undefined, isUnknown: true })
}

function final (
  offset: number,
  messages = Array.from({ length: offset }, (_, i) => ({ offset: i + 1, id: `1:${i + 1}` })),
  epoch = E
): Final {
  return { room: 'room', position: { epoch, offset }, messages }
}

/** The rules that records break, by name. */
function rulesBroken (sights: Sight[], { publishes = [], finals = [], ...more }: Partial<Records> = {}): string[] {
  const records: Records = {
    durable: true,
    pageMessages: 300,
    views: [{ subscriber: 'ada', room: 'room', sights }],
    publishes,
    finals,
    incidents: [],
    faults: [],
    ...more
  }
  return [...new Set(check(records).map(({ rule }) => rule))].sort()
}

test('a run in which everything is as it should be breaks no rule', (t) => {
  const sights = [joined(0), message(1), message(2), closed, back(2, 4), message(3), message(4), closed, back(4, 4), message(5)]
  t.strictSame(rulesBroken(sights, { publishes: [1, 2, 3, 4, 5].map((n) => publish(n)), finals: [final(5)] }), [])
  t.strictSame(
    rulesBroken([joined(0), message(1), closed, joined(900, { since: { epoch: E, offset: 1 }, recovered: false }), message(901)]),
    [],
    'more than a page was missed, and said to be'
  )
  t.strictSame(
    rulesBroken([joined(0), message(1), reset(0, 'f', 'epoch'), message(1, '1:2')], {
      durable: false,
      publishes: [publish(1)],
      finals: [final(1, [{ offset: 1, id: '1:2' }], 'f')]
    }),
    [],
    'Redis forgot, and it was said'
  )
  t.end()
})

test('each thing that must not be is found', (t) => {
  const cases: [string, string[], Sight[], Partial<Records>?][] = [
    ['a message is left out', ['order'], [joined(0), message(1), message(3)]],
    ['a message comes twice', ['order'], [joined(0), message(1), message(1)]],
    ['a newer one comes first', ['order'], [joined(0), message(2), message(1)]],
    ['a message comes before joined', ['order'], [message(1)]],
    ['a message comes before it is joined again', ['order'], [joined(0), message(1), closed, message(2), back(2, 2)]],
    ['the missed messages do not follow', ['order'], [joined(0), message(1), closed, back(1, 3), message(4)]],
    [
      'they are not as many as was said',
      ['declared'],
      [joined(0), message(1), closed, joined(3, { since: { epoch: E, offset: 1 }, recovered: true, missed: 1 }), message(2), message(3)]
    ],
    [
      'recovered in another epoch',
      ['declared'],
      [
        joined(0),
        message(1),
        closed,
        { kind: 'joined', at, position: { epoch: 'f', offset: 2 }, since: { epoch: E, offset: 1 }, recovered: true, missed: 1 }
      ]
    ],
    ['since is not answered', ['declared'], [joined(0), message(1), closed, joined(1, { since: { epoch: E, offset: 1 } })]],
    ['a loss is declared that is none', ['declared'], [joined(0), message(1), closed, back(1, 3, false)]],
    ['a reset that history could have filled', ['declared'], [joined(0), message(1), reset(5)]],
    ['an epoch ends though Redis is durable', ['declared'], [joined(0), message(1), reset(0, 'f', 'epoch')]],
    ['a position has two messages', ['one message'], [joined(0), message(1, '1:1'), closed, joined(0), message(1, '1:2')]],
    ['a message has two positions', ['exactly once'], [joined(0), message(1, '1:1'), message(2, '1:1')], { publishes: [publish(1)] }],
    [
      'a message has two positions in two epochs of a durable Redis',
      ['declared', 'exactly once'],
      [joined(0), message(1), reset(0, 'f', 'epoch'), message(1, '1:1')],
      { publishes: [publish(1)] }
    ],
    [
      'it is not where the answer said',
      ['acknowledged', 'one message'],
      [joined(0), message(1, '1:2'), message(2, '1:1')],
      { publishes: [publish(1)] }
    ],
    [
      'a publisher\'s messages change places',
      ['acknowledged'],
      [joined(0), message(1, '1:2'), message(2, '1:1')],
      { publishes: [publish(1, 2), publish(2, 1)] }
    ],
    ['it is never acknowledged', ['convergence'], [joined(0), message(1)], { publishes: [publish(1, 1, { acknowledged: undefined })] }],
    ['a publish is given up, and is in the room', [], [joined(0), message(1)], { publishes: [unknown(1)] }],
    ['a publish is given up, and is nowhere', [], [joined(0)], { publishes: [unknown(1)] }],
    [
      'a publish is given up, and is in the room twice',
      ['exactly once'],
      [joined(0), message(1), message(2, '1:1')],
      { publishes: [unknown(1)] }
    ],
    ['history does not have it', ['kept'], [], { views: [], publishes: [publish(1), publish(2)], finals: [final(1)] }],
    [
      'history has another in its place',
      ['kept', 'one message'],
      [],
      { views: [], publishes: [publish(1)], finals: [final(1, [{ offset: 1, id: '1:9' }])] }
    ],
    ['its epoch is gone though Redis is durable', ['kept'], [], { views: [], publishes: [publish(1)], finals: [final(0, [], 'f')] }],
    ['somebody does not get to the end', ['convergence'], [joined(0), message(1)], { finals: [final(2)] }],
    ['somebody is not in the room at the end', ['convergence'], [joined(0), message(1), closed], { finals: [final(1)] }],
    ['a process ends by itself', ['alive'], [], { incidents: [{ at, text: 'instance 1 ended by itself' }] }]
  ]
  for (const [title, rules, sights, records] of cases) t.strictSame(rulesBroken(sights, records), rules, title)
  t.end()
})

test('an excerpt shows what came before, and what was done at the time', (t) => {
  const records: Records = {
    durable: true,
    pageMessages: 300,
    views: [{ subscriber: 'ada', room: 'room', sights: [joined(0), ...[1, 2, 3, 4, 5, 7].map((offset) => message(offset))] }],
    publishes: [],
    finals: [],
    incidents: [],
    faults: [{ at: 900, text: 'freeze Redis' }, { at: 5_000, text: 'later' }]
  }
  t.strictSame(check(records), [{
    rule: 'order',
    text: 'ada in room: offset 7 after 5: 1 are missing and nothing was declared',
    excerpt: [
      '1.000 s  message 1:3 at offset 3', '1.000 s  message 1:4 at offset 4', '1.000 s  message 1:5 at offset 5',
      '1.000 s  message 1:7 at offset 7', '0.900 s  [freeze Redis]'
    ]
  }])
  t.end()
})
