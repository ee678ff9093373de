import neostandard, { plugins } from 'neostandard'

/** The core (folders of src/) and what each of them may import: docs/architecture.md, "Layers". */
const layers = {
  protocol: [],
  transport: ['protocol'],
  hub: ['protocol', 'transport'],
  redis: ['protocol'],
  broker: ['protocol', 'redis'],
  presence: ['protocol', 'redis'],
  rooms: ['protocol', 'hub', 'broker', 'presence'],
  commands: ['protocol', 'transport', 'hub', 'rooms']
}

const folders = Object.keys(layers)
const outside = ['fastify', 'fastify-plugin', '@fastify/*', 'pino', '**/plugins/**', '**/routes/**', '**/app.ts', '**/server.ts', '**/config.ts']

export default [
  ...neostandard({ ts: true, ignores: ['dist/', '.tap/', 'node_modules/'] }),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true } },
    plugins: { '@typescript-eslint': plugins['typescript-eslint'].plugin },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false, attributes: false, properties: false } }],
      'no-void': ['error', { allowAsStatement: true }], // a reply is thenable: what is not awaited is said
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error'
    }
  },
  {
    // tap waits for its tests by itself.
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: [{ from: 'package', name: ['test', 'teardown', 'before', 'after'], package: 'tap' }] }] }
  },
  ...folders.map((folder) => ({
    files: [`src/${folder}/**/*.ts`],
    rules: {
      'no-restricted-imports': ['error', {
        patterns: [
          ...(folder === 'protocol' ? [{ group: ['../*'], message: 'protocol/ imports nothing of ours.' }] : []),
          { group: outside, message: 'The core does not know Fastify, the plugins, the routes or the configuration.' },
          {
            group: folders.filter((other) => other !== folder && !layers[folder].includes(other)).map((other) => `../${other}/*`),
            message: `src/${folder}/ may import ${layers[folder].join(', ') || 'nothing'}.`
          }
        ]
      }]
    }
  })),
  {
    // It runs in browsers. Of the service it takes types, and the table of close codes.
    files: ['client/**/*.ts'],
    rules: {
      'no-restricted-imports': ['error', {
        patterns: [
          { group: ['**/plugins/**', '**/routes/**', '**/src/*.ts', ...folders.filter((folder) => folder !== 'protocol').map((folder) => `**/src/${folder}/*`)], message: 'client/ knows the protocol alone.' },
          { group: ['node:*'], message: 'client/ runs in browsers.' }
        ]
      }],
      'no-restricted-globals': ['error', ...['Buffer', 'process', 'global', 'setImmediate', 'require', '__dirname'].map((name) => ({ name, message: 'client/ runs in browsers.' }))]
    }
  },
  {
    files: ['routes/**/*.ts'],
    rules: {
      'no-restricted-imports': ['error', {
        patterns: [{ group: ['**/src/broker/memory.ts', '**/src/broker/redis*.ts', '**/src/presence/memory.ts', '**/src/presence/redis.ts', '**/src/redis/*'], message: 'Routes reach the core through the decorators.' }]
      }]
    }
  }
]
