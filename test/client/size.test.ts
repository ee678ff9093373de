import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { test } from 'tap'

const ENTRY = fileURLToPath(new URL('../../client/index.js', import.meta.url))

/** Bytes that a browser loads, gzipped. */
test('the client is small, and the parts that only some clients need are loaded by those', async (t) => {
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
  const nameOf = (path: string): string => path.replace(/^.*bundle\//, '')
  const sizes = new Map((outputFiles ?? []).map(({ path, contents }) => [nameOf(path), gzipSync(contents, { level: 9 }).length]))
  const outputs = metafile?.outputs ?? {}
  const atOnce = new Set<string>()
  const load = (path: string): void => {
    if (atOnce.has(path)) return
    atOnce.add(path)
    for (const { path: other, kind } of outputs[path]?.imports ?? []) if (kind === 'import-statement') load(other)
  }
  for (const path in outputs) if (nameOf(path) === 'index.js') load(path)
  const sizeOf = (paths: string[]): number => paths.reduce((sum, path) => sum + (sizes.get(nameOf(path)) ?? Infinity), 0)
  const later = Object.keys(outputs).filter((path) => !atOnce.has(path))
  const inputsOf = (path: string): string[] => Object.keys(outputs[path]?.inputs ?? {})
  const isOfEvents = (path: string): boolean => inputsOf(path).some((input) => input.endsWith('event-stream-link.js'))

  const core = sizeOf([...atOnce])
  const events = sizeOf(later.filter(isOfEvents))
  const others = sizeOf(later.filter((path) => !isOfEvents(path)))
  t.ok(core > 0 && core <= 12_400, `${core} bytes at once`)
  t.ok(events > 0 && events <= 3_950, `${events} bytes for event streams`)
  t.ok(others > 0 && others <= 600, `${others} bytes for missed messages beyond a page, and for loads of state`)
})
