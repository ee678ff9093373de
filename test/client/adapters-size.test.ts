import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { test } from 'tap'

// Compiled tests are in dist/test/client/.
const CLIENT = fileURLToPath(new URL('../../client/', import.meta.url))
const OPTIONS = {
  bundle: true as const,
  minify: true,
  splitting: true,
  format: 'esm' as const,
  target: 'es2022',
  outdir: '/bundle',
  write: false as const,
  metafile: true as const,
  external: ['react', 'vue']
}

/** Bundles entries with shared chunks. Returns a function that lists the gzipped sizes of the files that an entry loads at once. */
async function measure (entries: Record<string, string>): Promise<(name: string) => Map<string, number>> {
  const { outputFiles, metafile } = await build({ ...OPTIONS, entryPoints: entries })
  const sizes = new Map(outputFiles.map(({ path, contents }) => [baseOf(path), gzipSync(contents, { level: 9 }).length]))
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, { imports }]) => [baseOf(path), imports]))
  const collect = (path: string, loaded: Map<string, number>): Map<string, number> => {
    if (loaded.has(path)) return loaded
    loaded.set(path, sizes.get(path) ?? Infinity)
    for (const { path: other, kind, external } of outputs.get(path) ?? []) {
      if (kind === 'import-statement' && external !== true) collect(baseOf(other), loaded)
    }
    return loaded
  }
  return (name) => collect(`${name}.js`, new Map())
}

const baseOf = (path: string): string => path.replace(/^.*\//, '')

/** The bytes of the files that are not among others. */
function sum (files: Map<string, number>, others: Map<string, number>): number {
  return [...files].reduce((bytes, [path, size]) => others.has(path) ? bytes : bytes + size, 0)
}

test('the adapters are small beside the client and the stores that they share', async (t) => {
  const filesOf = await measure({
    index: `${CLIENT}index.js`, shared: `${CLIENT}stores/room-store.js`, vue: `${CLIENT}vue/index.js`, svelte: `${CLIENT}svelte/index.js`
  })
  const shared = new Map([...filesOf('index'), ...filesOf('shared')])
  const stores = sum(shared, filesOf('index'))
  t.ok(stores > 0 && stores <= 1_700, `${stores} bytes for the stores`)
  for (const name of ['vue', 'svelte']) {
    const bytes = sum(filesOf(name), shared)
    t.ok(bytes > 0 && bytes <= 1_000, `${bytes} bytes for ${name}`)
  }
})

test('all hooks with their stores are small beside the client', async (t) => {
  const bytesOf = async (contents: string): Promise<number> => {
    const { outputFiles, metafile } = await build({ ...OPTIONS, stdin: { contents, resolveDir: CLIENT } })
    const imports = Object.values(metafile.outputs).flatMap(({ imports }) => imports)
    const later = new Set(imports.filter(({ kind }) => kind === 'dynamic-import').map(({ path }) => baseOf(path)))
    const files = outputFiles.filter(({ path }) => !later.has(baseOf(path)))
    return files.reduce((bytes, { contents }) => bytes + gzipSync(contents, { level: 9 }).length, 0)
  }
  const client = "import { connect } from './index.js'\nconsole.log(connect)\n"
  const core = await bytesOf(client)
  const hooks = await bytesOf(`${client}import * as hooks from './react/index.js'\nconsole.log(hooks)`) - core
  t.ok(hooks > 0 && hooks <= 2_500, `${hooks} bytes for the hooks`)
})
