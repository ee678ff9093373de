import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/*
 * node scripts/compile.js            compiles everything
 * node scripts/compile.js --service  compiles the service alone: src, plugins and routes
 *
 * Compiles TypeScript to dist/ one file at a time, without checking types (`npm run build` checks them). Unchanged
 * files are skipped. Another process may be running from dist/: each file is replaced in one step, and only the
 * outputs of deleted sources are removed.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SERVICE = ['src', 'plugins', 'routes']
const ALL = [...SERVICE, 'client', 'test', 'bench']
/** Hashes of each source and its outputs, so that a file counts as unchanged only if both are. */
const RECORD = 'dist/.compiled.json'
/** What tsc remembers of the declarations it has written. */
const DECLARATIONS_RECORD = 'dist/.tsbuildinfo'

/**
 * Brings dist/ up to date with its sources. Throws SyntaxError, with every fault, if a source cannot be read.
 *
 * @param {string} root the folder of tsconfig.json
 * @param {{ folders?: string[], say?: (text: string) => void }} options the folders to compile, and where progress is reported
 * @returns {number} the number of compiled files
 */
export function compile (root, { folders = ALL, say = () => {} } = {}) {
  const settings = readSettings(root)
  const record = readRecord(root, settings)
  const sources = folders.flatMap((folder) => listFiles(root, folder)).filter((path) => /(?<!\.d)\.ts$/.test(path))
  removeStale(root, folders, sources)
  const changed = sources.filter((path) => !isUnchanged(root, path, record[path]))
  if (changed.length === 0) return 0

  const started = performance.now()
  say(`Compiling ${changed.length} of ${sources.length} files to dist/ ...`)
  const transpile = loadTranspiler(root)
  const faults = []
  for (const path of changed) {
    const source = read(root, path)
    const { outputs, fault } = transpile(path, source)
    if (fault !== undefined) faults.push(fault)
    else record[path] = { source: hash(source), outputs: writeOutputs(root, outputs) }
  }
  replace(root, RECORD, JSON.stringify({ settings, files: record }))
  if (faults.length > 0) throw new SyntaxError(faults.join(''))
  say(`Compiled in ${((performance.now() - started) / 1_000).toFixed(1)} s.`)
  return changed.length
}

/** All that the outputs depend on besides their sources. */
function readSettings (root) {
  const compiler = JSON.parse(read(root, 'node_modules/typescript/package.json')).version
  return hash(`${compiler} ${read(root, 'tsconfig.json')} ${readFileSync(fileURLToPath(import.meta.url))}`)
}

function readRecord (root, settings) {
  try {
    const record = JSON.parse(read(root, RECORD))
    return record.settings === settings ? record.files : {}
  } catch {
    return {} // Nothing has been compiled here, or by another version of this program.
  }
}

function isUnchanged (root, path, recorded) {
  return recorded !== undefined && recorded.source === hash(read(root, path)) &&
    Object.entries(recorded.outputs).every(([output, expected]) => existsSync(join(root, output)) && hash(read(root, output)) === expected)
}

/** Removes the outputs whose source is gone: a deleted test must not run. */
function removeStale (root, folders, sources) {
  const known = new Set(sources)
  for (const output of folders.flatMap((folder) => listFiles(root, join('dist', folder)))) {
    if (!/\.(d\.ts|js|js\.map)$/.test(output)) continue
    const source = relative('dist', output).replace(/\.(d\.ts|js|js\.map)$/, '.ts')
    if (known.has(source)) continue
    rmSync(join(root, output), { force: true }) // Another compiler may have removed it.
    // Otherwise tsc would not write the declaration again when the source is back.
    if (output.endsWith('.d.ts')) rmSync(join(root, DECLARATIONS_RECORD), { force: true })
  }
}

function loadTranspiler (root) {
  const ts = createRequire(import.meta.url)('typescript') // An import would read its 9 MB twice.
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root)
  // By itself a file does not know that package.json makes it an ES module.
  const compilerOptions = { ...options, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, declaration: false }
  return (path, source) => {
    const { outputText, sourceMapText, diagnostics } = ts.transpileModule(source, { fileName: join(root, path), compilerOptions, reportDiagnostics: true })
    if (diagnostics.length > 0) return { fault: ts.formatDiagnostics(diagnostics, { getCurrentDirectory: () => root, getCanonicalFileName: (name) => name, getNewLine: () => '\n' }) }
    const output = join('dist', path.replace(/\.ts$/, '.js'))
    return { outputs: { [output]: outputText, [`${output}.map`]: sourceMapText } }
  }
}

/** Writes texts by path; returns their hashes. */
function writeOutputs (root, outputs) {
  return Object.fromEntries(Object.entries(outputs).map(([path, text]) => {
    replace(root, path, text)
    return [path, hash(text)]
  }))
}

/** Replaces a file in one step: a process that reads it gets the old or the new one, and never a part. */
function replace (root, path, text) {
  const target = join(root, path)
  if (existsSync(target) && readFileSync(target, 'utf8') === text) return
  mkdirSync(dirname(target), { recursive: true })
  const draft = join(root, 'dist', `.draft-${process.pid}`)
  writeFileSync(draft, text)
  renameSync(draft, target)
}

/** The files of a folder and the folders in it, without those of packages. */
function listFiles (root, folder) {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' || entry.name === 'dist' ? [] : listFiles(root, path)
    return entry.isFile() ? [path] : []
  })
}

function read (root, path) {
  return readFileSync(join(root, path), 'utf8')
}

function hash (text) {
  return createHash('sha256').update(text).digest('base64')
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    compile(ROOT, { folders: process.argv.includes('--service') ? SERVICE : ALL, say: console.log })
  } catch (error) {
    const isUninstalled = error.code === 'ENOENT' && String(error.path).includes('node_modules')
    if (!isUninstalled && !(error instanceof SyntaxError)) throw error
    console.error(isUninstalled ? 'The dependencies are not installed. Run npm ci.' : `\n${error.message}\nFix the syntax and run the command again.`)
    process.exit(1)
  }
}
