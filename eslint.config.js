import neostandard, { plugins } from 'neostandard'
import redos from 'eslint-plugin-redos'
import { imports } from './eslint.imports.js'

const typescript = plugins['typescript-eslint'].plugin

export default [
  ...neostandard({
    ts: true,
    ignores: ['**/dist/', 'test/packages/project-*/', 'test/packages/install-*/', '.tap/', '**/node_modules/']
  }),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true } },
    plugins: { '@typescript-eslint': typescript },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false, attributes: false, properties: false } }],
      'no-void': ['error', { allowAsStatement: true }], // A reply is thenable: a promise that nobody awaits is marked.
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error'
    }
  },
  {
    // tap waits for its tests by itself.
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: [{ from: 'package', name: ['test', 'teardown', 'before', 'after'], package: 'tap' }] }] }
  },
  {
    files: ['src/**/*.ts', 'plugins/**/*.ts', 'routes/**/*.ts', 'client/**/*.ts', 'bench/**/*.ts'],
    rules: {
      'max-lines': ['error', 300],
      'max-lines-per-function': ['error', 70],
      '@stylistic/max-len': ['error', { code: 140, ignoreUrls: true }]
    }
  },
  {
    // Text from outside must not take more than linear time.
    files: ['src/**/*.ts', 'plugins/**/*.ts', 'routes/**/*.ts', 'client/**/*.ts'],
    plugins: { redos },
    rules: { 'redos/no-vulnerable': ['error', { timeout: 30_000 }] }
  },
  {
    files: ['test/**/*.ts'],
    rules: { '@stylistic/max-len': ['error', { code: 140, ignoreUrls: true }] }
  },
  {
    files: ['client/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', ...['Buffer', 'process', 'global', 'setImmediate', 'require', '__dirname'].map((name) => ({ name, message: 'client/ runs in browsers.' }))]
    }
  },
  ...imports.map(({ files, ignores = [], values, types = [], message }) => ({
    files,
    ignores,
    plugins: { '@typescript-eslint': typescript },
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [
          { regex: allBut([...values, ...types]), message },
          ...(types.length > 0 ? [{ regex: allBut(values), allowTypeImports: true, message: `${message} This import may only be a type.` }] : [])
        ]
      }],
      // The rule above does not see these.
      'no-restricted-syntax': [
        'error',
        { selector: `ImportExpression[source.value=/${selectable(allBut(values))}/]`, message },
        { selector: 'ImportExpression[source.type!="Literal"]', message: 'Import a literal, so that the linter can check it.' },
        { selector: `TSImportType Literal[value=/${selectable(allBut([...values, ...types]))}/]`, message },
        { selector: 'CallExpression[callee.name="require"]', message: 'Use import.' }
      ]
    }
  }))
]

/** A regular expression as it may stand in a selector, which a slash would end. */
function selectable (expression) {
  return expression.replaceAll('/', '\\x2F')
}

/** Matches every import but those that one of the expressions matches as a whole. */
function allBut (expressions) {
  return `^(?!(?:${expressions.join('|')})$)`
}
