import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { test } from 'tap'

/** The bytes of an entry and of the chunks that it loads at once, gzipped. */
async function sizeOf (entry: string): Promise<number> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../../client/${entry}`, import.meta.url))],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false
  })
  return gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length
}

test('a shared connection adds little to the client, and its worker is small', async (t) => {
  const added = await sizeOf('tabs/index.js') - await sizeOf('index.js')
  t.ok(added > 0 && added <= 1_000, `${added} bytes in the page`)
  const worker = await sizeOf('tabs/worker.js')
  t.ok(worker > 0 && worker <= 4_500, `${worker} bytes in the worker`)
})
