import { test } from 'tap'
import { readSlots } from '../../src/redis/cluster-map.ts'

const HOST = '10.0.0.9'

test('a map names the owner of every slot', async (t) => {
  const map = readSlots([
    [0, 5_460, ['10.0.0.1', 7_000, 'id', []], ['10.0.0.4', 7_000, 'id', []]],
    [5_461, 16_383, ['10.0.0.2', 7_001, 'id', []]]
  ], HOST)
  t.equal(map?.owners.length, 16_384)
  t.strictSame(
    [map?.owners[0], map?.owners[5_460], map?.owners[5_461], map?.owners[16_383]],
    ['10.0.0.1:7000', '10.0.0.1:7000', '10.0.0.2:7001', '10.0.0.2:7001']
  )
  t.strictSame([...map?.masters ?? []], [
    ['10.0.0.1:7000', { host: '10.0.0.1', port: 7_000 }],
    ['10.0.0.2:7001', { host: '10.0.0.2', port: 7_001 }]
  ])
})

test('a master without a name has the host of the server that replied', async (t) => {
  for (const name of ['', null]) t.strictSame([...readSlots([[0, 16_383, [name, 7_000]]], HOST)?.masters.keys() ?? []], [`${HOST}:7000`])
})

test('a reply that leaves slots without an owner, or has another shape, is no map', async (t) => {
  for (const reply of [
    [], [[0, 16_382, ['a', 1]]], undefined, null, 'OK',
    [[0, 16_383]], [[0, 16_383, 'a']], [['0', 16_383, ['a', 1]]], [[0, 16_383, ['a', '1']]], ['x']
  ]) {
    t.equal(readSlots(reply, HOST), undefined, JSON.stringify(reply))
  }
})
