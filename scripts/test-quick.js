import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/*
 * npm run test:quick             compiles, lints, checks types, and runs the fast test files
 * npm run test:quick -- --list   lists those test files
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Test files and folders that take longer than a few seconds, start many processes, or drive other programs. All others run. */
const SLOW = [
  'bench.test.ts', 'broker/redis.test.ts', 'client/client.test.ts', 'client/clock-courses.test.ts', 'client/clock-streams.test.ts',
  'client/clocks.test.ts', 'client/package.test.ts', 'client/pacing.test.ts', 'client/publisher.test.ts', 'client/react-membership.test.ts',
  'client/react.test.ts', 'client/svelte-page.test.ts', 'client/tabs-cuts.test.ts', 'client/tabs.test.ts',
  'client/testing/conformance.test.ts', 'client/use-websocket.test.ts', 'client/vue.test.ts', 'commands/churn.test.ts', 'commands/gone.test.ts',
  'commands/malformed.test.ts', 'commands/order.test.ts', 'commands/refusals.test.ts', 'commands/resume.test.ts',
  'commands/rooms.test.ts', 'commands/slow.test.ts', 'docs.test.ts', 'linter.test.ts', 'package.test.ts', 'packages',
  'plugins/jwt.test.ts', 'plugins/redis.test.ts', 'presence/redis.test.ts', 'publishing-docs.test.ts', 'redis/servers.test.ts', 'routes/v1/events.test.ts',
  'routes/ws.test.ts', 'scripts/compile.test.ts', 'system'
]

/**
 * Lists the compiled test files without the slow ones. Throws if a slow one does not exist: it was renamed, and its
 * new name would run.
 *
 * @param {string} root the folder of package.json
 * @param {string[]} slow files and folders in test/
 * @returns {string[]} paths relative to the root
 */
export function listQuickTests (root = ROOT, slow = SLOW) {
  const missing = slow.filter((path) => !existsSync(join(root, 'test', path)))
  if (missing.length > 0) throw new Error(`test/${missing.join(', test/')} does not exist: correct SLOW in scripts/test-quick.js`)
  return readdirSync(join(root, 'test'), { recursive: true })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => path.endsWith('.test.ts') && !path.includes('node_modules/') && !slow.some((other) => path === other || path.startsWith(`${other}/`)))
    .map((path) => `dist/test/${path.replace(/ts$/, 'js')}`)
    .sort()
}

/** Runs a program and prints its output when it ends. Returns whether it succeeded. */
async function check (program, ...parameters) {
  const child = spawn(program, parameters, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], shell: process.platform === 'win32' })
  const output = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { output.push(data) })
  const [code] = await once(child, 'close')
  process.stdout.write(Buffer.concat(output))
  return code === 0
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const files = listQuickTests()
  if (process.argv.includes('--list')) {
    console.log(files.join('\n'))
  } else {
    const checks = await Promise.all([
      check('npm', 'run', '--silent', 'lint', '--', '--cache', '--cache-location', 'node_modules/.cache/eslint/'),
      check('npm', 'run', '--silent', 'build')
    ])
    if (checks.includes(false)) process.exit(1)
    const [code] = await once(spawn('npx', ['tap', ...files], { cwd: ROOT, stdio: 'inherit', shell: process.platform === 'win32' }), 'close')
    process.exit(code ?? 1)
  }
}
