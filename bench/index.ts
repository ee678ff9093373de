import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BENCH } from './folders.ts'
import { measureAll } from './full.ts'
import { compare } from './quick.ts'
import { SHAPES } from './shapes.ts'

/*
 * npm run bench
 * npm run bench -- --shape hot --shape tick --peer roomcast --peer naive --runs 3
 * npm run bench -- --publish
 * npm run bench -- --quick --against HEAD~1
 */
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
    against: { type: 'string', default: 'HEAD' },
    publish: { type: 'boolean', default: false },
    shape: { type: 'string', multiple: true, default: [] },
    peer: { type: 'string', multiple: true, default: [] }
  }
})
const runs = Number(values.runs)
const unknown = values.shape.filter((name) => !SHAPES.some(({ shape }) => shape === name))
if (!Number.isSafeInteger(runs) || runs < 1 || unknown.length > 0) {
  console.error(
    `Usage: npm run bench -- [--runs 5] [--shape ${SHAPES.map(({ shape }) => shape).join('|')}]… [--peer <name>]… [--publish]\n` +
    '       npm run bench -- --quick [--against HEAD] [--runs 5] [--shape hot|tick|solo|rooms]…'
  )
  process.exit(2)
}

if (values.quick) {
  await compare({ against: values.against, runs, shapes: values.shape })
} else {
  if (!existsSync(join(BENCH, 'node_modules'))) {
    execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: BENCH, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  await measureAll({ runs, shapes: values.shape, peers: values.peer, publish: values.publish })
}
