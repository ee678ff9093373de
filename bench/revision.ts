import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './folders.ts'
import { makeFolder } from './processes.ts'

/** What the service is made of; tests and clients need not be compiled to start it. */
const SERVICE = ['src', 'plugins', 'routes', 'package.json']

/** The full name of a git revision; throws if there is none. */
export function resolveRevision (revision: string): string {
  return execFileSync('git', ['rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`], {
    cwd: ROOT,
    encoding: 'utf8'
  }).trim()
}

/** Gets a revision out of git and compiles the service; returns its root, which is removed when this process ends. */
export function buildRevision (commit: string): string {
  const folder = makeFolder()
  execFileSync('sh', ['-c', 'git archive "$1" | tar -x -C "$2"', 'sh', commit, folder], { cwd: ROOT })
  const read = (root: string): string => readFileSync(join(root, 'package-lock.json'), 'utf8')
  if (read(folder) === read(ROOT)) symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  else execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  writeFileSync(
    join(folder, 'tsconfig.bench.json'),
    JSON.stringify({ extends: './tsconfig.json', include: SERVICE.filter((name) => existsSync(join(folder, name))) })
  )
  execFileSync(process.execPath, [
    join(folder, 'node_modules/typescript/bin/tsc'),
    '-p', 'tsconfig.bench.json', '--noCheck', '--declaration', 'false', '--sourceMap', 'false'
  ], { cwd: folder, stdio: 'inherit' })
  return folder
}
