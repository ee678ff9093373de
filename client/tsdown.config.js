import { defineConfig } from 'tsdown'

const ENTRIES = {
  index: 'index.ts',
  react: 'react/index.ts',
  vue: 'vue/index.ts',
  svelte: 'svelte/index.ts',
  publisher: 'publisher/index.ts',
  tabs: 'tabs/index.ts',
  testing: 'testing/index.ts'
}
const WORKER = { 'tabs-worker': 'tabs/worker.ts' }

const options = {
  tsconfig: '../tsconfig.json',
  platform: 'neutral',
  target: 'es2022',
  fixedExtension: false,
  // Fails the build where a dependency would get into a bundle.
  deps: { onlyBundle: [] },
  logLevel: 'warn'
}

// Leaves out the methods that only the client itself calls: their types are those of the protocol's schemas.
const types = { ...options, entry: { ...ENTRIES, ...WORKER }, format: 'esm', clean: false, dts: { emitDtsOnly: true, compilerOptions: { stripInternal: true } } }

/**
 * The package as ES modules and as CommonJS, and the types of both.
 * The entries share chunks, so they share the class of errors. The script of the shared worker is one file.
 */
export default defineConfig([
  // Node loads the entry `node` where other platforms load `index`; the types of both are the same.
  { ...options, entry: { ...ENTRIES, node: 'node.ts' }, format: ['esm', 'cjs'], sourcemap: true, dts: false },
  {
    // One file without imports and exports: a classic script as well as a module.
    ...options,
    entry: WORKER,
    format: 'iife',
    clean: false,
    minify: true,
    sourcemap: true,
    dts: false,
    outputOptions: { entryFileNames: '[name].js' }
  },
  types,
  { ...types, entry: ENTRIES, outExtensions: () => ({ js: '.cjs', dts: '.d.cts' }) }
])
