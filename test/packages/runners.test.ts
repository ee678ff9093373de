import { test } from 'tap'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { startProject } from '../support/tools.ts'

for (const [name, command, parameters] of [
  ['Jest', 'jest', ['--config', 'jest.config.cjs', '--json']],
  ['Vitest', 'vitest', ['run', '--reporter', 'json']]
] as const) {
  test(`${name} runs tests of the client in Node, and in jsdom with the WebSocket of the page`, async (t) => {
    const project = await startProject(t)
    if (project === undefined) return
    const service = await startService(t)
    const output = await project.run('runners', command, [...parameters], { ROOMCAST_URL: service.url, ROOMCAST_TOKEN: makeToken() })
    t.match(JSON.parse(output), { success: true, numPassedTests: 2, numTotalTests: 2 })
  })
}
