import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Test, test } from 'tap'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** A small project with the script and the compiler of this one. */
interface Project {
  folder: string
  write: (path: string, text: string) => void
  read: (path: string) => string
  compile: (...parameters: string[]) => { status: number | null, output: string }
}

function makeProject (t: Test): Project {
  const folder = t.testdir({ 'package.json': '{"type":"module"}' })
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  mkdirSync(join(folder, 'scripts'))
  for (const path of ['scripts/compile.js', 'tsconfig.json']) copyFileSync(join(ROOT, path), join(folder, path))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  write('src/a.ts', "import { b } from './b.ts'\nexport const a: number = b\n")
  write('src/b.ts', 'export const b = 1\n')
  write('test/c.test.ts', "import { a } from '../src/a.ts'\nexport const c = a\n")
  return {
    folder,
    write,
    read: (path) => readFileSync(join(folder, path), 'utf8'),
    compile: (...parameters) => {
      const program = join(folder, 'scripts/compile.js')
      const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...parameters], { encoding: 'utf8' })
      return { status, output: stdout + stderr }
    }
  }
}

test('it compiles what tsc compiles, says so, and compiles nothing when nothing has changed', (t) => {
  const { folder, write, read, compile } = makeProject(t)
  t.match(compile().output, /^Compiling 3 of 3 files to dist\//)
  t.strictSame(compile(), { status: 0, output: '' })
  write('tsc.json', JSON.stringify({ extends: './tsconfig.json', compilerOptions: { outDir: 'tsc' }, include: ['src', 'test'] }))
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  t.equal(spawnSync(process.execPath, [tsc, '-p', join(folder, 'tsc.json')], { encoding: 'utf8' }).stdout, '')
  for (const path of ['src/a.js', 'src/b.js', 'test/c.test.js', 'src/a.js.map']) t.equal(read(`dist/${path}`), read(`tsc/${path}`), path)
  t.end()
})

test('it compiles the service alone where the tests are not needed', (t) => {
  const { folder, compile } = makeProject(t)
  t.match(compile('--service').output, /^Compiling 2 of 2 files/)
  t.notOk(existsSync(join(folder, 'dist/test')))
  t.match(compile().output, /^Compiling 1 of 3 files/)
  t.end()
})

test('it compiles a changed source, and one whose output another program has changed, and touches no other output', (t) => {
  const { folder, write, read, compile } = makeProject(t)
  compile()
  const before = statSync(join(folder, 'dist/src/a.js'))
  write('src/b.ts', 'export const b = 2\n')
  t.match(compile().output, /^Compiling 1 of 3 files/)
  t.match(read('dist/src/b.js'), 'b = 2')
  write('dist/src/b.js', 'export const b = 3\n')
  t.match(compile().output, /^Compiling 1 of 3 files/)
  t.match(read('dist/src/b.js'), 'b = 2')
  t.strictSame([statSync(join(folder, 'dist/src/a.js')).ino, statSync(join(folder, 'dist/src/a.js')).mtimeMs], [before.ino, before.mtimeMs])
  t.end()
})

test('a replaced output is a new file, so that a process that reads the old one is not disturbed', (t) => {
  const { folder, write, compile } = makeProject(t)
  compile()
  const before = statSync(join(folder, 'dist/src/b.js')).ino
  write('src/b.ts', 'export const b = 2\n')
  compile()
  t.not(statSync(join(folder, 'dist/src/b.js')).ino, before)
  t.end()
})

test('it removes the outputs of a deleted source, and makes tsc write their declarations again', (t) => {
  const { folder, write, compile } = makeProject(t)
  compile()
  write('dist/src/b.d.ts', 'export declare const b = 1;\n')
  write('dist/.tsbuildinfo', '{}')
  write('dist/other/kept.js', '')
  write('dist/src/asset.css', '')
  for (const path of ['src/b.ts', 'test/c.test.ts']) rmSync(join(folder, path))
  compile()
  for (const path of ['src/b.js', 'src/b.js.map', 'src/b.d.ts', 'test/c.test.js', '.tsbuildinfo']) {
    t.notOk(existsSync(join(folder, 'dist', path)), path)
  }
  for (const path of ['src/a.js', 'src/asset.css', 'other/kept.js']) t.ok(existsSync(join(folder, 'dist', path)), path)
  t.end()
})

test('it leaves out packages and what other programs have built', (t) => {
  const { folder, write, compile } = makeProject(t)
  for (const path of ['client/node_modules/some/index.ts', 'client/dist/index.ts']) write(path, 'export {}\n')
  compile()
  t.notOk(existsSync(join(folder, 'dist/client')))
  t.end()
})

test('a source with a syntax error is named, its output stays as it was, and the other sources are compiled', (t) => {
  const { write, read, compile } = makeProject(t)
  compile()
  write('src/a.ts', 'export const a: = 1\n')
  write('src/b.ts', 'export const b = 2\n')
  const { status, output } = compile()
  t.equal(status, 1)
  t.match(output, /src\/a\.ts\(1,17\): error TS1110: Type expected\./)
  t.match(output, 'Fix the syntax and run the command again.')
  t.match(read('dist/src/a.js'), 'a = b')
  t.match(read('dist/src/b.js'), 'b = 2')
  t.equal(compile().status, 1, 'again, until it is repaired')
  t.end()
})
