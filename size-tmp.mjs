import { build } from 'esbuild'
import { gzipSync } from 'node:zlib'
import { writeFileSync } from 'node:fs'
const r = await build({ entryPoints: ['dist/client/index.js'], bundle: true, minify: true, splitting: true, format: 'esm', target: 'es2022', outdir: '/bundle', write: false, metafile: true })
let core = 0, rest = {}
const sizes = new Map(r.outputFiles.map(({ path, contents }) => [path.replace(/^.*bundle\//, ''), gzipSync(contents, { level: 9 }).length]))
const graph = r.metafile.outputs
const seen = new Set()
const walk = (p) => { if (seen.has(p)) return; seen.add(p); for (const i of graph[p].imports) if (i.kind === 'import-statement') walk(i.path) }
walk(Object.keys(graph).find((p) => p.endsWith('/index.js')))
for (const p of Object.keys(graph)) { const s = sizes.get(p.replace(/^.*bundle\//, '')); if (seen.has(p)) core += s; else rest[p.replace(/^.*bundle\//, '')] = s }
console.log('core', core, rest)
if (process.argv[2]) for (const [path, o] of Object.entries(graph)) { console.log(path, o.bytes); for (const [i, {bytesInOutput: b}] of Object.entries(o.inputs).sort((a,b)=>b[1].bytesInOutput-a[1].bytesInOutput)) console.log('   ', b, i) }
for (const f of r.outputFiles) writeFileSync('/tmp/sz/' + f.path.split('/').at(-1), f.contents)
