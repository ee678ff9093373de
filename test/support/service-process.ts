import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { Service } from './service.ts'
import { SECRET } from './token.ts'
import { until } from './until.ts'

const SERVER = fileURLToPath(new URL('../../src/server.js', import.meta.url))

/** The settings that production requires beside a key. */
export const PRODUCTION = { NODE_ENV: 'production', ALLOWED_ORIGINS: '*', DEFAULT_GRANTS: '*' }

/** The service as a process of its own. */
export interface ServiceProcess extends Pick<Service, 'url' | 'port'> {
  child: ChildProcess
  stdout: () => string
  stderr: () => string
  /** The exit code, or the signal that ended it. */
  exited: Promise<number | string>
}

/**
 * Starts `server.js` with the given environment and nothing else; kills it when the test is over.
 *
 * @param folder its working directory; one without a .env if not given
 */
export function spawnServer (t: Test, environment: Record<string, string>, program = SERVER, folder = tmpdir()): ServiceProcess {
  const child = spawn(process.execPath, [program], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', PORT: '0', ...environment },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => { stdout += String(chunk) })
  child.stderr.on('data', (chunk) => { stderr += String(chunk) })
  // 'close' comes when all output has been read.
  const exited = once(child, 'close').then(([code, signal]: (number | string)[]) => code ?? signal ?? 'unknown')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return { child, url: '', port: 0, stdout: () => stdout, stderr: () => stderr, exited }
}

/** Starts the service as a process, with the tests' secret unless told otherwise, and waits until it listens. */
export async function startProcess (t: Test, environment: Record<string, string> = { JWT_SECRET: SECRET }): Promise<ServiceProcess> {
  return await spawnProgram(t, SERVER, environment)
}

/** The same with another program that says where it listens. */
export async function spawnProgram (t: Test, program: string, environment: Record<string, string>): Promise<ServiceProcess> {
  const service = spawnServer(t, environment, program)
  const address = /listens on (https?:\/\/\S+:(\d+))/
  let gone = false
  void service.exited.then(() => { gone = true })
  await until(() => gone || address.test(service.stdout()), 'the service to listen')
  const [, url, port] = address.exec(service.stdout()) ?? []
  if (url === undefined) throw new Error(`the service did not start: ${service.stderr()}`)
  return { ...service, url, port: Number(port) }
}
