import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'tap'
import { startService } from '../support/service.ts'
import { makeToken } from '../support/token.ts'
import { requireTools } from '../support/tools.ts'

const run = promisify(execFile)
// Compiled tests are in dist/test/packages/.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** The fenced blocks of a document in one language. */
function readFences (document: string, language: string): string[] {
  const text = readFileSync(join(ROOT, document), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)\\n\`\`\`$`, 'gm'))].map(([, code = '']) => code)
}

for (const [document, printed] of [['README.md', /^ada:? /], ['docs/client.md', /^\[\]\n/]] as const) {
  test(`the commands of ${document} pack the client and install it in a folder beside the repository`, async (t) => {
    if (!await requireTools(t)) return
    const [pack = '', ...others] = readFences(document, 'sh').filter((code) => code.startsWith('npm pack'))
    const [install = '', ...more] = readFences(document, 'sh').filter((code) => code.startsWith('npm i '))
    t.strictSame([others, more], [[], []])

    // A copy of the repository, for the command builds the package and other tests read `client/dist`.
    const folder = mkdtempSync(join(tmpdir(), 'roomcast-documents-'))
    t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })
    const repository = join(folder, 'roomcast')
    mkdirSync(join(repository, 'src'), { recursive: true })
    for (const path of ['package.json', 'package-lock.json', 'tsconfig.json', 'src/protocol']) {
      cpSync(join(ROOT, path), join(repository, path), { recursive: true })
    }
    cpSync(join(ROOT, 'client'), join(repository, 'client'), { recursive: true, filter: (path) => path !== join(ROOT, 'client/dist') })
    symlinkSync(join(ROOT, 'node_modules'), join(repository, 'node_modules'))
    const page = join(folder, 'page')
    mkdirSync(page)
    await run('sh', ['-c', pack], { cwd: repository })
    await run('sh', ['-c', install], { cwd: page })

    const service = await startService(t)
    const [snippet = ''] = readFences(document, 'js').filter((code) => code.includes("from '@roomcast/client'"))
    const script = snippet
      .replace(/https?:\/\/[\w.:]+/, service.url)
      .replace(/token: (?:'eyJ…'|async .*)/, `token: ${JSON.stringify(makeToken())}`)
      .replace("await fetch('/orders', { signal })", "new Response('[]')") // `test/docs.test.ts` runs it with a backend.
    writeFileSync(join(page, 'page.mjs'), `${script}\nprocess.exit()`)
    const { stdout } = await run(process.execPath, ['page.mjs'], { cwd: page })
    t.match(stdout, printed)
  })
}
