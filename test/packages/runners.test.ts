import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { startProject } from '../support/tools.ts'

// Compiled tests are in dist/test/.
const GUIDE = new URL('../../../docs/testing.md', import.meta.url)

/** Writes the files of docs/testing.md, whose first lines are their names, into a folder of the tests of Vitest. */
function writeGuide (folder: string): void {
  for (const [, name = '', code = ''] of readFileSync(GUIDE, 'utf8').matchAll(/^```js\n\/\/ (\S+)\n([^]*?)\n```$/gm)) {
    writeFileSync(join(folder, name.replace('.test.js', '.vitest.mjs')), code)
  }
}

for (const [name, command, parameters, tests] of [
  ['Jest', 'jest', ['--config', 'jest.config.cjs', '--json'], 3],
  ['Vitest', 'vitest', ['run', '--reporter', 'json'], 6] // Three are those of docs/testing.md.
] as const) {
  test(`${name} runs tests of the client in Node, in jsdom with the WebSocket of the page, and with a twin`, async (t) => {
    const project = await startProject(t)
    if (project === undefined) return
    writeGuide(join(project.folder, 'runners'))
    const service = await startService(t)
    const output = await project.run('runners', command, [...parameters], { ROOMCAST_URL: service.url, ROOMCAST_TOKEN: makeToken() })
    t.match(JSON.parse(output), { success: true, numPassedTests: tests, numTotalTests: tests })
  })
}
