import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { packClient, unpack } from './client-package.ts'
import { skip } from './debian.ts'

const run = promisify(execFile)
// Compiled tests are in dist/test/.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const TOOLS = join(ROOT, 'test/packages')
const INSTALLED = join(TOOLS, 'node_modules')

/** A project that has installed the packed client, beside the tools of `test/packages`. */
export interface Project {
  folder: string
  /** Runs the command of a tool in a folder of the project, and returns its output. Rejects where the command fails. */
  run: (folder: string, command: string, parameters: string[], environment?: Record<string, string>) => Promise<string>
}

/** Installs the tools of `test/packages` if need be. Without REQUIRE_BUNDLERS the test is skipped, loudly. */
export async function requireTools (t: Test): Promise<boolean> {
  if (process.env.REQUIRE_BUNDLERS !== '1') {
    skip(t, 'REQUIRE_BUNDLERS is not set')
    return false
  }
  if (!isInstalled()) await install()
  return true
}

/** Makes a project with the fixtures of `test/packages`. Without REQUIRE_BUNDLERS the test is skipped, loudly. */
export async function startProject (t: Test): Promise<Project | undefined> {
  if (!await requireTools(t)) return undefined
  // Below the tools, for some bundlers do not follow links to other folders.
  const folder = mkdtempSync(join(TOOLS, 'project-'))
  t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })
  cpSync(join(TOOLS, 'fixtures'), folder, { recursive: true })
  const { archive } = await packClient(folder)
  await unpack(archive, join(folder, 'node_modules/@roomcast/client'))
  cpSync(join(ROOT, 'node_modules/ws'), join(folder, 'node_modules/ws'), { recursive: true })
  return {
    folder,
    run: async (path, command, parameters, environment) => await runTool(join(folder, path), command, parameters, environment)
  }
}

/** Runs the command of a tool, and returns its output. Rejects with the output where the command fails. */
export async function runTool (
  cwd: string,
  command: string,
  parameters: string[],
  environment: Record<string, string> = {}
): Promise<string> {
  const program = command === 'node' ? process.execPath : join(INSTALLED, '.bin', command)
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, CI: '1', NO_COLOR: '1', NEXT_TELEMETRY_DISABLED: '1', ...environment }
  const { stdout } = await run(program, parameters, { cwd, env }).catch((error: { message: string, stdout: string }) => {
    throw new Error(`${error.message}\n${error.stdout}`)
  })
  return stdout
}

function isInstalled (): boolean {
  const lock = join(INSTALLED, '.package-lock.json')
  return existsSync(lock) && statSync(lock).mtimeMs >= statSync(join(TOOLS, 'package-lock.json')).mtimeMs
}

async function install (): Promise<void> {
  const folder = mkdtempSync(join(TOOLS, 'install-'))
  for (const name of ['package.json', 'package-lock.json']) cpSync(join(TOOLS, name), join(folder, name))
  await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder })
  // Test files run side by side, and another one may have installed the tools meanwhile.
  if (!isInstalled()) {
    rmSync(INSTALLED, { recursive: true, force: true })
    renameSync(join(folder, 'node_modules'), INSTALLED)
  }
  rmSync(folder, { recursive: true, force: true })
}
