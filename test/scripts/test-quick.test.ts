import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

function list (root: string): { files: string[], error: string } {
  const { stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts/test-quick.js'), '--list'], { encoding: 'utf8' })
  return { files: stdout.split('\n').filter((line) => line !== ''), error: stderr }
}

test('the quick tests are all test files but those of test/system and the files that are named as slow', (t) => {
  const { files } = list(ROOT)
  t.ok(files.length > 20)
  t.ok(files.every((file) => existsSync(join(ROOT, file)) && !file.startsWith('dist/test/system/')))
  const all = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts') && !path.includes('node_modules/'))
  t.ok(files.length > all.length / 2, 'most files are quick')
  t.ok(files.includes('dist/test/scripts/test-quick.test.js'))
  t.end()
})

test('a slow file that was renamed is an error, so that it does not become a quick one unnoticed', (t) => {
  const root = t.testdir({ 'package.json': '{"type":"module"}' })
  cpSync(join(ROOT, 'scripts'), join(root, 'scripts'), { recursive: true })
  const { files, error } = list(root)
  t.strictSame(files, [])
  t.match(error, /test\/docs\.test\.ts.* does not exist: correct SLOW in scripts\/test-quick\.js/)
  t.end()
})
