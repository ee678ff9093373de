import { execFile } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
// Compiled tests are in dist/test/.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const BUILT = join(ROOT, 'client/dist/index.js')
const FOLDERS = ['stores', 'react', 'vue', 'svelte', 'publisher', 'tabs', 'testing']
const SOURCES = ['client', ...FOLDERS.map((name) => `client/${name}`), 'src/protocol']

/** Throws where `client/dist` is missing or older than the sources of the client. */
export function requireClientBuild (): void {
  const files = SOURCES.flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => join(ROOT, folder, name)))
  const changedAt = Math.max(...files.filter((file) => /\.(ts|js|json)$/.test(file)).map((file) => statSync(file).mtimeMs))
  if (!existsSync(BUILT) || statSync(BUILT).mtimeMs < changedAt) {
    throw new Error('client/dist is missing or older than its sources: run `npm run build:client`')
  }
}

/** Packs the client into a folder, and returns the path of the archive and the paths of the files in it. */
export async function packClient (folder: string): Promise<{ archive: string, files: string[] }> {
  requireClientBuild()
  const { stdout } = await run(
    'npm',
    ['pack', '--workspace', '@roomcast/client', '--json', '--ignore-scripts', '--pack-destination', folder],
    { cwd: ROOT }
  )
  const [{ filename, files }] = JSON.parse(stdout) as [{ filename: string, files: { path: string }[] }]
  return { archive: join(folder, filename), files: files.map(({ path }) => path) }
}

/** Unpacks an archive of npm into a folder. */
export async function unpack (archive: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await run('tar', ['-xzf', archive, '-C', folder, '--strip-components', '1'])
}
