/*
 * What each folder, and each file at src/, may import: docs/architecture.md, "Layers". These are lists of the allowed
 * imports; the linter refuses all others. Each entry is a regular expression for a whole specifier.
 */

const NODE = 'node:[a-z/_]+'
/** A file of the same folder. */
const HERE = '\\./[\\w-]+\\.ts'
/** From a route to the root of the project. */
const UP = '(?:\\.\\./){1,3}'
const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** The folders of src/, which never know Fastify or, except settings, the settings: the folders and the packages that each may import. */
const core = {
  protocol: { folders: [], packages: ['ajv'], types: ['typebox'], node: false },
  events: { folders: [], types: ['../protocol/position.ts'] },
  settings: { folders: ['protocol'], packages: ['ajv', 'dotenv'], types: ['typebox'] },
  auth: { folders: ['protocol'] },
  transport: { folders: ['protocol'], types: ['ws'] },
  redis: { folders: ['protocol'], packages: ['ioredis', 'cluster-key-slot'] },
  hub: { folders: ['protocol', 'transport'] },
  broker: { folders: ['protocol', 'redis'] },
  presence: { folders: ['protocol', 'redis'] },
  callers: { folders: ['broker'] },
  rooms: { folders: ['protocol', 'auth', 'transport', 'hub', 'broker', 'presence', 'callers'], packages: ['ajv'] },
  commands: { folders: ['protocol', 'auth', 'transport', 'hub', 'rooms', 'callers'] },
  connections: { folders: ['protocol', 'auth', 'transport', 'hub', 'rooms', 'commands'], types: ['ws'] }
}

/** The files at src/, which are the process and may know Fastify. */
const root = {
  errors: { node: false },
  log: { types: ['fastify'] },
  'connection-headers': { types: ['fastify'], node: false },
  problem: { values: ['errors.ts', 'log.ts'], folders: ['protocol'], types: ['fastify'] },
  config: { folders: ['protocol', 'settings', 'auth', 'redis', 'rooms'], types: ['typebox'] },
  app: { values: ['config.ts', 'errors.ts', 'log.ts', 'problem.ts'], folders: Object.keys(core), packages: ['fastify-plugin'], types: ['fastify'], beside: ['plugins', 'routes'] },
  standalone: { values: ['app.ts', 'config.ts', 'errors.ts', 'log.ts', 'problem.ts'], folders: ['connections'], packages: ['fastify'] },
  server: { values: ['config.ts', 'standalone.ts'], packages: ['close-with-grace'], types: ['fastify'] },
  'health-check': { values: ['config.ts'] }
}

const inFolders = (up, folders) => folders.map((folder) => `${literal(up)}${folder}/[\\w-]+\\.ts`)

export const imports = [
  {
    // A new file or folder.
    files: ['src/**/*.{ts,tsx,mts,cts}'],
    ignores: [...Object.keys(root).map((name) => `src/${name}.ts`), ...Object.keys(core).map((name) => `src/${name}/**/*.ts`)],
    values: [NODE],
    message: 'Add this file or its folder to eslint.imports.js, with the imports that it may have.'
  },
  ...Object.entries(root).map(([name, { values = [], folders = [], packages = [], types = [], beside = [], node = true }]) => ({
    files: [`src/${name}.ts`],
    values: [
      ...(node ? [NODE] : []),
      ...values.map((file) => literal(`./${file}`)),
      ...inFolders('./', folders),
      ...beside.map((folder) => `\\.\\./${folder}/[\\w-]+(?:/[\\w-]+)*\\.ts`),
      ...packages.map(literal)
    ],
    types: types.map(literal),
    message: `src/${name}.ts may import ${[...values, ...folders.map((folder) => `${folder}/`), ...beside, ...packages, ...types].join(', ') || 'nothing'}.`
  })),
  ...Object.entries(core).map(([name, { folders, packages = [], types = [], node = true }]) => {
    const isLeaf = name === 'protocol' || name === 'events'
    return {
      files: [`src/${name}/**/*.ts`],
      values: [
        ...(node ? [NODE] : []),
        HERE,
        ...(isLeaf ? [] : ['\\.\\./errors\\.ts', ...inFolders('../', ['events'])]),
        ...inFolders('../', folders),
        ...packages.map(literal)
      ],
      types: types.map(literal),
      message: `src/${name}/ may import ${[...(isLeaf ? [] : ['errors.ts', 'events/']), ...folders.map((folder) => `${folder}/`), ...packages, ...types].join(', ') || 'nothing'}.`
    }
  }),
  {
    files: ['plugins/**/*.ts'],
    values: [NODE, 'fastify', 'fastify-plugin', '@fastify/[\\w-]+', 'ajv', '\\.\\./src/(?:connection-headers|errors|log|problem)\\.ts', ...inFolders('../src/', Object.keys(core))],
    types: ['fastify', '\\.\\./src/config\\.ts'],
    message: 'A plugin may import the core, connection-headers.ts, errors.ts, log.ts, problem.ts and packages; no other plugin, and no route.'
  },
  {
    files: ['routes/**/*.ts'],
    values: [
      NODE,
      'ajv',
      // A file of the same folder or of one below it, and a file beside the folder.
      '\\./(?:[\\w-]+/)*[\\w-]+\\.ts',
      '\\.\\./[\\w-]+\\.ts',
      `${UP}src/(?:connection-headers|errors|problem)\\.ts`,
      `${UP}src/protocol/[\\w-]+\\.ts`,
      `${UP}src/connections/handshake\\.ts`
    ],
    types: ['fastify', 'ws', 'typebox', '@fastify/type-provider-typebox', `${UP}src/(?:${Object.keys(core).join('|')})/[\\w-]+\\.ts`],
    message: 'A route reaches the core through the decorators of fastify.'
  },
  {
    // It runs in browsers. Of the service it takes types, and the table of close codes.
    files: ['client/**/*.ts'],
    ignores: [
      'client/node.ts',
      ...['stores', 'react', 'vue', 'svelte', 'publisher', 'tabs', 'testing'].map((folder) => `client/${folder}/**`)
    ],
    values: [HERE, '\\.\\./src/protocol/close-codes\\.ts'],
    types: ['\\.\\./src/protocol/[\\w-]+\\.ts'],
    message: 'client/ knows the protocol alone.'
  },
  {
    files: ['client/node.ts'],
    values: [HERE, 'ws'],
    types: ['node:http'],
    message: 'client/node.ts adds the WebSocket of ws.'
  },
  {
    files: ['client/stores/**/*.ts'],
    values: [HERE, '\\.\\./index\\.ts'],
    message: 'The stores know the client, and no framework.'
  },
  {
    files: ['client/react/**/*.ts'],
    values: [HERE, 'react', '\\.\\./index\\.ts', '\\.\\./stores/[\\w-]+\\.ts'],
    message: 'The hooks know the client, the stores and React.'
  },
  {
    files: ['client/vue/**/*.ts'],
    values: [HERE, 'vue', '\\.\\./index\\.ts', '\\.\\./stores/[\\w-]+\\.ts'],
    message: 'The composables know the client, the stores and Vue.'
  },
  {
    files: ['client/svelte/**/*.ts'],
    values: [HERE, '\\.\\./index\\.ts', '\\.\\./stores/[\\w-]+\\.ts'],
    message: "The readable stores know the client and the stores: Svelte's contract needs no import."
  },
  {
    files: ['client/publisher/**/*.ts'],
    values: [HERE, '\\.\\./(?:base64|clock|delay|errors|json|payload|published|token-source)\\.ts'],
    message: 'A publisher knows no connection.'
  },
  {
    // It speaks the other side of the protocol, and must not need the service.
    files: ['client/testing/**/*.ts'],
    values: [
      HERE,
      '\\.\\./(?:base64|errors|index|message)\\.ts',
      '\\.\\./publisher/content\\.ts',
      '\\.\\./\\.\\./src/protocol/(?:close-codes|names)\\.ts'
    ],
    types: ['\\.\\./(?:clock|position|websocket-link)\\.ts', '\\.\\./\\.\\./src/protocol/[\\w-]+\\.ts'],
    message: 'client/testing/ knows the client and the protocol, and nothing of the service.'
  },
  {
    files: ['client/tabs/**/*.ts'],
    values: [HERE, '\\.\\./index\\.ts', '\\.\\./\\.\\./src/protocol/close-codes\\.ts'],
    types: ['\\.\\./websocket-link\\.ts', '\\.\\./\\.\\./src/protocol/[\\w-]+\\.ts'],
    message: 'Tabs share a connection through the WebSocket option of the client.'
  }
]
