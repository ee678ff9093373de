import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { test } from 'tap'

const ENTRY = fileURLToPath(new URL('../../client/index.js', import.meta.url))

/** Bytes that a browser loads, gzipped. */
test('the client is small, and what only some clients need is loaded by those', async (t) => {
  const { outputFiles, metafile } = await build({
    entryPoints: [ENTRY],
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    outdir: '/bundle',
    write: false,
    metafile: true
  })
  const sizes = new Map((outputFiles ?? []).map(({ path, contents }) =>
    [path.replace(/^.*bundle\//, ''), gzipSync(contents, { level: 9 }).length]))
  let core = 0
  let events = 0
  for (const [path, { inputs }] of Object.entries(metafile?.outputs ?? {})) {
    const size = sizes.get(path.replace(/^.*bundle\//, '')) ?? Infinity
    if (Object.keys(inputs).some((input) => input.endsWith('event-stream-link.js'))) events += size
    else core += size
  }
  t.ok(core > 0 && core <= 6_144, `${core} bytes at once`)
  t.ok(events > 0 && events <= 3_000, `${events} bytes for event streams`)
  t.equal(sizes.size, 3, 'the two, and what they share')
})
