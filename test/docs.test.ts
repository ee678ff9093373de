import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { format, promisify } from 'node:util'
import { createContext, runInContext } from 'node:vm'
import { Ajv } from 'ajv'
import { type Test, test } from 'tap'
import { WebSocket } from 'ws'
import { ENVIRONMENT, InvalidConfig, readConfig } from '../src/config.ts'
import { ERRORS } from '../src/errors.ts'
import { REQUIRED_IN_PRODUCTION } from '../src/settings/environment.ts'
import { CLOSE_CODES, CLOSE_TEXTS, type CloseReason, nextStep } from '../src/protocol/close-codes.ts'
import { CLIENT_FRAMES, SERVER_FRAMES } from '../src/protocol/frames.ts'
import { Grants } from '../src/auth/grants.ts'
import { type Service, startService } from './support/service.ts'
import { makeToken, SECRET } from './support/token.ts'
import { until } from './support/until.ts'
import { connect } from './support/websocket-client.ts'
import { startProcess } from './support/service-process.ts'

// Compiled tests are in dist/test/.
const ROOT = new URL('../../', import.meta.url)
const DOCUMENTS = [
  'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md',
  ...readdirSync(new URL('docs/', ROOT)).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)
]
/** What curl exits with when `--max-time` is over. */
const TIMED_OUT = 28
/** What the documents call the service that `npm start` starts. */
const DOCUMENTED = '127.0.0.1:3000'

const run = promisify(execFile)
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')

/** A fenced block: what stands behind the fence, and what is in it. */
interface Fence {
  info: string
  text: string
}

function readFences (markdown: string): Fence[] {
  return [...markdown.matchAll(/^```(.*)\n([^]*?)\n```$/gm)].map(([, info = '', text = '']) => ({ info, text }))
}

function withoutFences (markdown: string): string {
  return markdown.replace(/^```.*\n[^]*?\n```$/gm, '')
}

function readHeadings (markdown: string): string[] {
  return [...withoutFences(markdown).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading)
}

/** The text between a heading and the next one of the same depth or above. */
function readPart (markdown: string, heading: string): string {
  const depth = /^#+/.exec(heading)?.[0].length ?? 0
  const [, after = ''] = `\n${markdown}`.split(`\n${heading}\n`)
  return after.split(new RegExp(`^#{1,${depth}} `, 'm'))[0] ?? ''
}

/** The cells of all rows of tables, without the lines that make a table of them. */
function readRows (markdown: string): string[][] {
  return [...markdown.matchAll(/^\|(.*)\|$/gm)]
    .map(([, row = '']) => row.split('|').map((cell) => cell.trim()))
    .filter(([first]) => first !== '---')
}

/** What GitHub makes of a heading in a link. */
function toAnchor (heading: string): string {
  return heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-')
}

/** The defaults, as they stand in documents: empty for a setting without. */
const DEFAULTS = Object.entries(ENVIRONMENT as Record<string, { default?: unknown, description?: string }>)
  .map(([name, schema]) => [name, String(schema.default ?? ''), schema.description])

test('.env.example has every setting with its description and its default', async (t) => {
  const settings = [...read('.env.example').matchAll(/^# (.*)\n(#?)([A-Z_]+)=(.*)$/gm)]
  t.strictSame(settings.map(([, description, , name, value]) => [name, value, description]), DEFAULTS)
  for (const [, , commented, name = ''] of settings) {
    const hasDefault = 'default' in ENVIRONMENT[name as keyof typeof ENVIRONMENT]
    t.equal(commented === '#', !hasDefault || name in REQUIRED_IN_PRODUCTION, `${name} is commented out if it may have no default`)
  }
})

test('.env.example copied to .env gives the defaults', async (t) => {
  const folder = t.testdir({})
  copyFileSync(new URL('.env.example', ROOT), `${folder}/.env`)
  const script = `import { readConfig } from ${JSON.stringify(new URL('../src/config.js', import.meta.url))}
    const { keys, ...config } = readConfig(undefined, { standalone: true })
    console.log(JSON.stringify(config))`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: folder, env: {} })
  const { keys, ...defaults } = readConfig({}, { standalone: true })
  t.equal(keys.length, 1)
  t.strictSame(JSON.parse(stdout), JSON.parse(JSON.stringify(defaults)))
})

test('docs/configuration.md has every setting with its description and its default', async (t) => {
  const rows = readRows(readPart(read('docs/configuration.md'), '## Settings')).filter(([name]) => name !== 'setting')
  const unquote = (cell = '') => cell.replace(/^`(.*)`$/, '$1')
  t.strictSame(rows.map(([name, value, description]) => [unquote(name), unquote(value), description]).sort(), [...DEFAULTS].sort())
})

test('settings that docs/operations.md names are settings', async (t) => {
  const mentions = withoutFences(read('docs/operations.md')).matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g)
  const names = new Set([...mentions].map(([, name = '']) => name))
  t.not(names.size, 0)
  for (const name of names) t.ok(name in ENVIRONMENT || name === 'NODE_ENV', name)
})

test('docs/configuration.md names the settings that are refused', async (t) => {
  const names = readPart(read('docs/configuration.md'), '### Not yet').match(/(?<=`)[A-Z_]+(?=`)/g) ?? []
  t.not(names.length, 0)
  for (const name of names) {
    t.throws(
      () => readConfig({ JWT_SECRET: SECRET, [name]: 'x' }),
      new InvalidConfig([`${name} is not supported by this version`])
    )
  }
})

test('docs/errors.md explains every error code', async (t) => {
  const part = readPart(read('docs/errors.md'), '## Error codes')
  t.strictSame(readHeadings(part), Object.keys(ERRORS).map((code) => `\`${code}\``))
  for (const [code, { status, title, retryable }] of Object.entries(ERRORS)) {
    const entry = readPart(part, `### \`${code}\``)
    t.equal(entry.trim().split('\n')[0], `${status} "${title}", ${retryable ? 'retryable' : 'not retryable'}.`)
    t.match(entry, /^- \*\*Means:\*\* \S.*\n- \*\*Why:\*\* \S.*\n- \*\*Do:\*\* \S/m, `${code} is explained`)
  }
})

test('docs/errors.md and docs/protocol.md explain every close code', async (t) => {
  const part = readPart(read('docs/errors.md'), '## Close codes')
  const codes = (Object.entries(CLOSE_CODES) as [CloseReason, number][]).map(([reason, code]) => ({
    code, reason: CLOSE_TEXTS[reason], heading: `${code} ${CLOSE_TEXTS[reason]}`.trim()
  }))
  t.strictSame(readHeadings(part), codes.map(({ heading }) => heading))
  for (const { code, heading } of codes) {
    const entry = readPart(part, `### ${heading}`)
    t.equal(entry.trim().split('\n')[0], `Client: ${nextStep(code)}.`)
    t.match(entry, /^- \*\*Means:\*\* \S.*\n- \*\*Why:\*\* \S.*\n- \*\*Do:\*\* \S/m, `${code} is explained`)
  }
  const [, ...rows] = readRows(readPart(read('docs/protocol.md'), '## Close codes'))
  t.strictSame(rows.map((row) => row.slice(0, 3)), codes.map(({ code, reason }) => [String(code), reason, nextStep(code)]))
})

/** A schema that also refuses what it does not name: a typing error in an example is one. */
function toStrict (schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(toStrict)
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).map(([name, value]) => [name, toStrict(value)])
  return { ...Object.fromEntries(entries), ...('properties' in schema && { additionalProperties: false }) }
}

test('every frame in docs/protocol.md is one', async (t) => {
  const protocol = read('docs/protocol.md')
  const ajv = new Ajv({ strict: false })
  for (const [direction, schemas] of [['client → server', CLIENT_FRAMES], ['server → client', SERVER_FRAMES]] as const) {
    const part = readPart(protocol, `## ${direction.replace(/^./, (first) => first.toUpperCase())}`)
    t.strictSame(
      readHeadings(part).map((heading) => heading.replaceAll('`', '')).sort(),
      Object.keys(schemas).sort(),
      `${direction}: a heading for each type`
    )
    for (const [type, schema] of Object.entries(schemas)) {
      const isFrame = ajv.compile(toStrict(schema) as object)
      const fences = readFences(readPart(part, `### \`${type}\``))
      t.not(fences.length, 0, `${type} has an example`)
      for (const { info, text } of fences) {
        t.equal(info, `json ${direction}`)
        // One frame over several lines, or one a line.
        for (const json of text.startsWith('{\n') ? [text] : text.split('\n')) {
          t.ok(isFrame(JSON.parse(json)), `${json} ${ajv.errorsText(isFrame.errors)}`)
        }
      }
    }
  }
  const inside = readFences(readPart(protocol, '## Client → server') + readPart(protocol, '## Server → client'))
  t.equal(readFences(protocol).length, inside.length, 'there are no frames elsewhere')
})

test('grants in docs/tokens.md are granted, and match what it says', async (t) => {
  const tokens = read('docs/tokens.md')
  for (const { text } of readFences(tokens)) t.doesNotThrow(() => Grants.compile(JSON.parse(text), 'ada'))
  t.strictSame(JSON.parse(readFences(tokens)[1]?.text ?? ''), readConfig({}, { standalone: true }).defaultGrants, 'the default')
  const rows = readRows(tokens).filter(([, , matches]) => matches === 'yes' || matches === 'no')
  t.not(rows.length, 0)
  for (const [pattern = '', room = '', matches] of rows.map((row) => row.map((cell) => cell.replaceAll('`', '')))) {
    t.equal(Grants.compile({ [pattern]: ['join'] }, 'ada').allow('join', room) ? 'yes' : 'no', matches, `${pattern} and ${room}`)
  }
})

/** What the documents call every epoch. */
const EPOCH = '1764000000000123'

/** What comes out differently every time, as the documents have it. */
function mask (text: string): string {
  return text
    .replace(/"epoch": ?"\d+"/g, `"epoch":"${EPOCH}"`)
    .replace(/"time": ?\d+/g, '"time":1764000000000')
    .replace(/^id: .*$/gm, (id) => id.replace(/\d{4,}(?=:)/g, EPOCH))
}

interface Answer {
  status: string
  headers: Record<string, string>
  body: unknown
}

/** An HTTP answer as `curl -i` prints it and documents show it. */
function readAnswer (text: string): Answer {
  const [head = '', ...body] = mask(text.replaceAll('\r\n', '\n')).split('\n\n')
  const [status = '', ...lines] = head.split('\n')
  const content = body.join('\n\n').trim()
  const headers = Object.fromEntries(lines.map((line) => line.split(': ')).map(([name = '', value = '']) => [name.toLowerCase(), value]))
  const isStream = headers['content-type']?.startsWith('text/event-stream') === true
  return { status, headers, body: isStream ? content.split('\n\n') : content === '' ? undefined : JSON.parse(content) }
}

/** Calls of a document, and the answers it shows behind them. */
function readCalls (markdown: string): { command: string, answer: Answer | undefined }[] {
  const fences = readFences(markdown)
  return fences.flatMap(({ info, text }, index) => {
    if (info !== 'sh' || !text.includes('curl')) return []
    const next = fences[index + 1]
    return [{ command: text, answer: next?.info === 'http' ? readAnswer(next.text) : undefined }]
  })
}

/** Runs the calls of a document in their order, and compares what they are answered. */
async function checkCalls (t: Test, markdown: string, { port }: { port: number }, token: string): Promise<void> {
  const calls = readCalls(markdown)
  t.not(calls.length, 0)
  const epochs = new Map<string, string>()
  for (const { command, answer } of calls) {
    const [, room = ''] = /\/rooms\/(\w+)\//.exec(command) ?? []
    const script = command
      .replaceAll(DOCUMENTED, `127.0.0.1:${port}`)
      .replace(`since=${EPOCH}`, `since=${epochs.get(room) ?? ''}`)
    const { stdout } = await run('sh', ['-c', script], { env: { PATH: process.env.PATH, TOKEN: token } })
      .catch((error: { code?: unknown, stdout: string }) => {
        if (command.includes('--max-time') && error.code === TIMED_OUT) return error // A stream, which has no other end.
        throw error
      })
    for (const [, room = '', epoch = ''] of stdout.matchAll(/"room":"(\w+)","epoch":"(\d+)"/g)) epochs.set(room, epoch)
    const { status, headers, body } = readAnswer(stdout)
    t.equal(status, answer?.status, command)
    t.match(headers, answer?.headers ?? {})
    t.strictSame(body, answer?.body)
  }
}

/** Starts the service as `npm start` does, and reads the token that it prints. */
async function startDevelopment (t: Test): Promise<{ service: Service, token: string, output: string }> {
  const service = await startProcess(t, {})
  await until(() => service.stdout().includes('\ncurl '), 'the greeting')
  const [token = ''] = /^eyJ\S+$/m.exec(service.stdout()) ?? []
  return { service: service as unknown as Service, token, output: service.stdout() }
}

test('README.md shows what start prints', async (t) => {
  const { service, output } = await startDevelopment(t)
  const [shown] = readFences(read('README.md')).filter(({ info }) => info === 'text')
  const lines = output.split('\n').filter((line) => !line.startsWith('{')).join('\n') // Without the log.
  t.equal(lines.replace(/eyJ[\w.-]+/g, 'eyJ…').replaceAll(String(service.port), '3000').trim(), shown?.text)
})

test("README.md's browser client chats, and its curl reaches the client", async (t) => {
  const { service, token } = await startDevelopment(t)
  const readme = read('README.md')
  const [snippet, ...others] = readFences(readme).filter(({ info, text }) => info === 'js' && text.includes('new WebSocket'))
  t.equal(others.length, 0)
  const code = (snippet?.text ?? '').replace(DOCUMENTED, `127.0.0.1:${service.port}`).replace('eyJ…', token)
  const printed: string[] = []
  const print = (...values: unknown[]) => { printed.push(values.join(' ')) }
  // Node 20 has no WebSocket of its own.
  const context = createContext({ WebSocket, console: { log: print, error: print } })
  runInContext(code.replace('const ws', 'var ws'), context)
  t.teardown(() => { (context as { ws: WebSocket }).ws.terminate() })
  await until(() => printed.includes('dev: hi, everybody'), "the client's own message")
  await checkCalls(t, readme, service, token)
  await until(() => printed.includes('dev: hello from the backend'), 'the message of the backend')
  t.equal(printed.length, 2)
})

/** Runs the first client of a document; returns the lines that it prints. */
async function runClient (t: Test, file: string, replacements: (readonly [RegExp, string])[]): Promise<string[]> {
  const snippet = readFences(read(file)).find(({ info, text }) => info === 'js' && text.includes("from '@roomcast/client'"))
  const printed: string[] = []
  let code = (snippet?.text ?? '')
    .replace("'@roomcast/client'", JSON.stringify(new URL('../client/node.js', import.meta.url)))
    .replace('connect({', 'globalThis.documented.own(make, {')
    .replaceAll('console.log', 'globalThis.documented.log')
    .replace('import { connect }', 'import { connect as make }')
  for (const [pattern, replacement] of replacements) code = code.replace(pattern, replacement)
  Object.assign(globalThis, {
    documented: {
      log: (...values: unknown[]) => { printed.push(format(...values)) },
      own (make: (options: object) => { close: () => void }, options: object) {
        const client = make(options)
        t.teardown(() => { client.close() })
        return client
      }
    }
  })
  await import(`data:text/javascript,${encodeURIComponent(code)}`)
  return printed
}

test('the client in README.md talks', async (t) => {
  const { service, token } = await startDevelopment(t)
  const printed = await runClient(t, 'README.md', [[/http:\/\/127\.0\.0\.1:3000/, service.url], [/eyJ…/, token]])
  await until(() => printed.includes('dev: hi, everybody'), 'the own message')
})

test('the client in docs/client.md loads its state, applies messages, and loads the state again after a gap', async (t) => {
  // Each lost connection is a gap where rooms have no history.
  const service = await startService(t, { HISTORY_SIZE: '0' })
  let orders = [{ id: 1, status: 'new' }]
  const backend = createServer(({ url }, response) => {
    response.end(JSON.stringify(url === '/token' ? { token: makeToken() } : orders))
  })
  await once(backend.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => { backend.close() })
  const { port } = backend.address() as AddressInfo
  const printed = await runClient(t, 'docs/client.md', [
    [/https:\/\/realtime\.example\.com/, service.url],
    [/fetch\('/g, `fetch('http://127.0.0.1:${port}`]
  ])
  await until(() => printed.length === 2, 'the state and the own message')
  orders = [{ id: 2, status: 'sent' }]
  for (const connection of service.app.roomcast.hub.connections) connection.close('internal')
  await until(() => printed.length === 3, 'the state after a gap')
  t.strictSame(printed, ["[ [ 1, 'new' ] ]", "[ [ 1, 'new' ], [ 7, 'paid' ] ]", "[ [ 2, 'sent' ] ]"])
})

/** The names in the first cells of a table of docs/client.md. */
function readNames (heading: string, column: string): string[] {
  const rows = readRows(readPart(read('docs/client.md'), heading))
  const start = rows.findIndex(([name]) => name === column)
  const after = rows.slice(start + 1)
  const end = after.findIndex(([name = '']) => !name.startsWith('`'))
  return after.slice(0, end === -1 ? undefined : end).flatMap(([cell = '']) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name))
}

test('docs/client.md explains every option, reason and error code', async (t) => {
  const [, options = ''] = /^export interface ConnectOptions \{\n([^]*?)^\}/m.exec(read('client/options.ts')) ?? []
  const names = [...options.matchAll(/^ {2}(\w+)\??: /gm)].map(([, name = '']) => name)
  t.strictSame(readNames('## `connect`', 'option').sort(), names.sort())
  t.strictSame(readNames('### States and reasons', '`reason`').sort(), [...Object.keys(CLOSE_CODES), 'lost', 'token'].sort())
  const own = [...read('client/errors.ts').matchAll(/^ \* - `(\w+)`: /gm)].map(([, code = '']) => code)
  const codes = readNames('## Errors', 'code')
  t.strictSame(own.filter((code) => !codes.includes(code)), [], 'each code of the client')
  t.strictSame(codes.filter((code) => !own.includes(code) && !(code in ERRORS)), [], 'no other codes')
})

test('every curl in docs/http-api.md is answered as it says', async (t) => {
  const { service, token } = await startDevelopment(t)
  const client = await connect(service, { token, query: 'room=lobby' })
  t.teardown(() => { client.ws.terminate() })
  await client.next('joined')
  await checkCalls(t, read('docs/http-api.md'), service, token)
})

test('the rooms file in docs/configuration.md can be used', (t) => {
  const example = readFences(readPart(read('docs/configuration.md'), '## `ROOMS_FILE`')).find(({ info }) => info === 'json')
  const file = `${t.testdir({ 'rooms.json': example?.text ?? '' })}/rooms.json`
  const { policies } = readConfig({ JWT_SECRET: 'x', ROOMS_FILE: file })
  t.equal(policies.of('cursors:7:mouse').history, undefined)
  t.strictSame(policies.of('orders:7'), { history: { size: 5_000, ttlSeconds: 86_400 }, presence: true, publish: 'server' })
  t.end()
})

interface OpenApi {
  paths: Record<string, Record<string, { security?: object[] }>>
}

test('docs/http-api.md and OpenAPI have the same routes', async (t) => {
  const service = await startService(t)
  const { paths } = await (await fetch(`${service.url}/openapi.json`)).json() as OpenApi
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { security }] of Object.entries(methods)) {
      t.strictSame(security, path.startsWith('/v1/') ? undefined : [], `${method} ${path} needs a token, or none`)
    }
  }
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`))
  const document = read('docs/http-api.md')
  const headings = readHeadings(document).map((heading) => heading.replaceAll('`', '')).filter((heading) => /^[A-Z]+ \//.test(heading))
  t.strictSame(headings.sort(), routes.sort())
  for (const route of headings) t.not(readCalls(readPart(document, `### \`${route}\``)).length, 0, `${route} has an example`)
})

test('links between the documents lead somewhere', async (t) => {
  for (const document of DOCUMENTS) {
    for (const [, link = ''] of withoutFences(read(document)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue
      const target = new URL(link, new URL(document, ROOT))
      const there = existsSync(target)
      t.ok(there, `${document} → ${link}`)
      if (there && target.hash !== '') {
        const anchors = readHeadings(readFileSync(target, 'utf8')).map(toAnchor)
        t.ok(anchors.includes(decodeURIComponent(target.hash.slice(1))), `${document} → ${link}`)
      }
    }
  }
})

/** The imports that a file or a folder may have: see eslint.imports.js. */
interface ImportRule {
  files: string[]
  values: string[]
  types?: string[]
}

test('docs/architecture.md lists the imports that the linter allows', async (t) => {
  const { imports } = await import(new URL('eslint.imports.js', ROOT).href) as { imports: ImportRule[] }
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
  const entries = readdirSync(new URL('src/', ROOT), { withFileTypes: true })
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name)
  const packages = [...Object.keys(dependencies), 'node:*']
  const rows = readRows(readPart(read('docs/architecture.md'), '## Layers')).filter((row) => row.length === 4 && row[2] !== 'may import')
  t.strictSame(
    rows.map(([name = '']) => name.replaceAll('`', '')).sort(),
    [...folders, ...files].sort(),
    'every folder and every file at src/ has a row'
  )

  for (const [cell = '', , local = '', external = ''] of rows) {
    const name = cell.replaceAll('`', '')
    const isFolder = folders.includes(name)
    const rule = imports.find(({ files: [pattern] }) => pattern === (isFolder ? `src/${name}/**/*.ts` : `src/${name}`))
    const listed = new Set(`${local}, ${external}`.replace('all folders', folders.map((folder) => `\`${folder}\``).join(', ')).split(', '))
    if (isFolder) listed.add(`\`${name}\``)
    if (isFolder && local !== 'nothing') listed.add('`errors.ts`').add('`events`')
    const up = isFolder ? '../' : './'
    const specifiers = [
      ...folders.map((folder) => [folder, folder === name ? './some-file.ts' : `${up}${folder}/some-file.ts`]),
      ...files.filter((file) => file !== name).map((file) => [file, `${up}${file}`]),
      ...['plugins', 'routes'].map((folder) => [folder, `${isFolder ? '../' : ''}../${folder}/some-file.ts`]),
      ...packages.map((dependency) => [dependency, dependency.replace('node:*', 'node:fs')])
    ]
    const allows = (patterns: string[], specifier: string): boolean =>
      patterns.some((pattern) => new RegExp(`^(?:${pattern})$`).test(specifier))
    for (const [target = '', specifier = ''] of specifiers) {
      t.equal(listed.has(`\`${target}\``), allows(rule?.values ?? [], specifier), `${name} → ${target}`)
      t.equal(listed.has(`\`${target}\` (types)`), allows(rule?.types ?? [], specifier), `${name} → ${target}, types`)
    }
  }
})

test('files that the documents name exist', async (t) => {
  const named = /`((?:src|plugins|routes|test|docs|\.ci)\/[\w./-]+)`/g
  for (const document of DOCUMENTS) {
    for (const [, path = ''] of withoutFences(read(document)).matchAll(named)) {
      t.ok(existsSync(new URL(path, ROOT)), `${document}: ${path}`)
    }
  }
})

test('the documents do not install packages that have no release yet', (t) => {
  const readmes = ['client/README.md', ...readdirSync(new URL('examples/', ROOT)).map((name) => `examples/${name}/README.md`)]
  const installs = /\b(?:npm (?:i|install)|npx)\b[^`\n]*(?<![\w./-])(?:roomcast|@roomcast\/client)(?![\w./-]).*/g
  for (const document of [...DOCUMENTS, ...readmes]) {
    t.strictSame(read(document).match(installs) ?? [], [], document)
  }
  t.end()
})

test('the documents have one word for each thing', async (t) => {
  const others = /\b(channel|topic|session|peer|participant|subscriber)s?\b/gi
  for (const document of DOCUMENTS) t.strictSame(read(document).match(others) ?? [], [], document)
})
