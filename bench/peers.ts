import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { BENCH } from './folders.ts'
import type { Protocol } from './load/options.ts'

/** A server that is measured: what a file of `bench/peers/` exports. */
export interface Peer {
  name: string
  /** Of the file, without its ending. */
  file: string
  /** Those it knows. */
  shapes: string[]
  protocol: Protocol
  /** A program that has to be on the PATH. */
  program?: string
  /** npm packages, for their versions. */
  libraries?: string[]
  /** Why it cannot be measured here, if it is not the program that is missing. */
  lacks?: () => string | undefined
  /** It has no members: requests alone are made. */
  noMembers?: boolean
  /** The process that is the server. */
  run?: (place: Place) => Command
  /** Or the server itself, in a process of its own. */
  serve?: (place: Place) => Promise<void>
}

/** Where, and with what, a server is to run. */
export interface Place {
  /** To listen on, at 127.0.0.1. */
  port: number
  /** An empty folder, for settings; removed afterwards. */
  folder: string
  /** What tokens are signed with (HS256). */
  secret: string
  /** `redis://…`, where several instances are to be one. */
  redis?: string
  /** Where `program` is. */
  program?: string
  /** The root of the Roomcast that is measured. */
  root: string
}

export interface Command {
  command: string
  parameters: string[]
  environment?: Record<string, string>
}

const FOLDER = join(BENCH, 'peers')
/** In the order of tables; others come behind. */
const ORDER = ['roomcast', 'naive', 'socket.io', 'nats', 'nchan', 'floor', 'bare', 'bare-fastify']

/** A peer by the name of its file. */
export async function loadPeer (name: string): Promise<Peer> {
  const { default: peer } = await import(join(FOLDER, `${name}.mjs`)) as { default: Peer }
  return { ...peer, file: name }
}

export async function loadPeers (): Promise<Peer[]> {
  const names = readdirSync(FOLDER).filter((file) => file.endsWith('.mjs')).map((file) => file.slice(0, -'.mjs'.length))
  const place = (name: string): number => ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length
  return await Promise.all(names.toSorted((a, b) => place(a) - place(b)).map(loadPeer))
}

/** Why a peer is left out; undefined if it can be measured. */
export function whyMissing (peer: Peer): string | undefined {
  if (peer.program !== undefined && findProgram(peer.program) === undefined) return `${peer.program} is not on the PATH`
  return peer.lacks?.()
}

/** The versions of what a peer is made of, by name. */
export function versionsOf ({ program, libraries = [] }: Peer): Record<string, string> {
  const require = createRequire(join(FOLDER, 'peer.mjs'))
  const versions: Record<string, string> = {}
  for (const library of libraries) versions[library] = (require(`${library}/package.json`) as { version: string }).version
  if (program !== undefined) versions[program] = versionOf(findProgram(program) as string)
  return versions
}

/** What a program says of itself. */
export function versionOf (program: string): string {
  for (const option of ['--version', '-v']) {
    try {
      // nginx says it on standard error.
      const text = execFileSync('sh', ['-c', `"${program}" ${option} 2>&1`], { encoding: 'utf8' })
      return /\d+\.\d+(\.\d+)?/.exec(text)?.[0] ?? 'unknown'
    } catch {}
  }
  return 'unknown'
}

/** A program on the PATH, or where Debian has servers. */
export function findProgram (...names: string[]): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => existsSync(file))
}
