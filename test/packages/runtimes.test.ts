import { test } from 'tap'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { startProject } from '../support/tools.ts'

for (const [name, command, parameters] of [
  ['Bun', 'bun', ['run']],
  ['Deno', 'deno', ['run', '--allow-all', '--node-modules-dir=manual']]
] as const) {
  test(`the client and the publisher work in ${name}`, async (t) => {
    const project = await startProject(t)
    if (project === undefined) return
    const service = await startService(t)
    const output = await project.run('.', command, [...parameters, 'run.mjs', service.url, makeToken()])
    t.strictSame(JSON.parse(output), { transports: ['websocket', 'events'], offset: 3 })
  })
}
