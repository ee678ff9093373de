import { test } from 'tap'
import { Arrivals } from '../../src/hub/arrivals.ts'
import type { Position } from '../../src/protocol/position.ts'

function at (offset: number, epoch = 'a'): Position {
  return { epoch, offset }
}

/** Arrivals, and the steps that have run. */
function start () {
  const arrivals = new Arrivals()
  const ran: string[] = []
  const wait = (name: string, position: Position, delivered: Position | undefined, step = () => {}) =>
    arrivals.wait(position, delivered, () => {
      ran.push(name)
      step()
    })
  return { arrivals, ran, wait }
}

test('a step runs at once if its position has arrived, otherwise when it arrives', async (t) => {
  const { arrivals, ran, wait } = start()
  await wait('at once', at(5), at(5))
  const waiting = wait('later', at(7), at(5))
  arrivals.arrived(at(6))
  arrivals.arrived(at(7, 'b'))
  t.strictSame(ran, ['at once'])
  arrivals.arrived(at(7))
  t.strictSame(ran, ['at once', 'later'], 'without a turn in between')
  await waiting
})

test('steps run in the order of the calls, whatever they wait for', async (t) => {
  const { arrivals, ran, wait } = start()
  const waiting = [wait('7', at(7), at(5)), wait('3, again', at(3), at(5)), wait('9', at(9), at(5)), wait('8', at(8), at(5))]
  t.strictSame(ran, [])
  arrivals.arrived(at(8))
  t.strictSame(ran, ['7', '3, again'])
  arrivals.arrived(at(20))
  t.strictSame(ran, ['7', '3, again', '9', '8'])
  await Promise.all(waiting)
})

test('a reset runs the steps of other epochs, and no step that waits for the new one', async (t) => {
  const { arrivals, ran, wait } = start()
  const waiting = [wait('old', at(7), at(5)), wait('reached', at(2, 'b'), at(5)), wait('new', at(3, 'b'), at(5))]
  arrivals.reset(at(2, 'b'))
  t.strictSame(ran, ['old', 'reached'])
  arrivals.arrived(at(3, 'b'))
  t.strictSame(ran, ['old', 'reached', 'new'])
  await Promise.all(waiting)
})

test('a step whose position does not arrive runs after some time, and later ones wait for their own time', async (t) => {
  const keepsAlive = setInterval(() => {}, 1_000)
  t.teardown(() => { clearInterval(keepsAlive) })
  const { arrivals, ran, wait } = start()
  const first = wait('first', at(7), undefined)
  await new Promise((resolve) => setTimeout(resolve, 600))
  const second = wait('second', at(8), at(5))
  await first
  t.strictSame(ran, ['first'])
  await second
  t.strictSame(ran, ['first', 'second'])
  const third = wait('third', at(9), at(5))
  arrivals.arrived(at(9))
  await third
})

test('a blocked event loop takes no time from a step', async (t) => {
  const { arrivals, ran, wait } = start()
  const waiting = wait('late', at(7), at(5))
  for (const until = performance.now() + 1_500; performance.now() < until;);
  await new Promise((resolve) => setTimeout(resolve, 1))
  t.strictSame(ran, [])
  arrivals.arrived(at(7))
  await waiting
  t.strictSame(ran, ['late'])
})

test('a step that ends the room runs the rest in order', async (t) => {
  const { arrivals, ran, wait } = start()
  const waiting = [wait('1', at(1), at(0), () => { arrivals.abandon() }), wait('2', at(2), at(0)), wait('3', at(3), at(0))]
  arrivals.arrived(at(2))
  t.strictSame(ran, ['1', '2', '3'])
  await Promise.all(waiting)
})
