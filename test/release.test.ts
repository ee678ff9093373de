import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'tap'

const run = promisify(execFile)
// Compiled tests are in dist/test/.
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const WORKFLOWS = join(ROOT, '.github/workflows')
const WORKFLOW_FILES = readdirSync(WORKFLOWS)

const CHANGELOG = `# Changelog

## [1.1.0] - Unreleased

- Not yet.

## [1.0.1] - 2026-02-01

## [1.0.0] - 2026-01-01

### Added

- Rooms.

## [0.9.0] - 2025-12-01

- Before.
`

test('the notes of a release are the section of its version in the changelog', async (t) => {
  const folder = t.testdir({ 'CHANGELOG.md': CHANGELOG })
  const readNotes = async (version: string): Promise<string> =>
    (await run(join(ROOT, '.ci/release-notes'), [version, join(folder, 'CHANGELOG.md')])).stdout
  t.equal((await readNotes('1.0.0')).trim(), '### Added\n\n- Rooms.')
  t.equal((await readNotes('0.9.0')).trim(), '- Before.')
  for (const [version, message] of [['1.1.0', 'has no date'], ['1.0.1', 'has no text'], ['2.0.0', 'has no section']] as const) {
    await t.rejects(readNotes(version), { code: 1, stderr: new RegExp(message) })
  }
})

test('workflows pin each action to a commit and start without write permissions', (t) => {
  for (const file of WORKFLOW_FILES) {
    const text = readFileSync(join(WORKFLOWS, file), 'utf8')
    const actions = [...text.matchAll(/uses: (\S+)/g)].map(([, action = '']) => action)
    t.not(actions.length, 0, file)
    t.strictSame(actions.filter((action) => !/@[0-9a-f]{40}$/.test(action)), [], file)
    t.match(text, /^permissions:(?: \{\}|\n {2}contents: read)\n\n/m, file)
  }
  t.end()
})

test('the commands of the workflows are valid in Bash', async (t) => {
  for (const file of WORKFLOW_FILES) {
    const text = readFileSync(join(WORKFLOWS, file), 'utf8')
    const scripts = [...text.matchAll(/^( +)run: \|\n((?:\1 {2}.*\n|\n)+)/gm)].map(([, , script = '']) => script)
    t.not(scripts.length, 0, file)
    for (const script of scripts) await t.resolves(run('bash', ['-n', '-c', script]))
  }
})
