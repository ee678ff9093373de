import dotenv from 'dotenv'

/** The variables of the process. */
export interface ProcessEnvironment {
  /** `process.env` over `.env`. */
  variables: Record<string, string | undefined>
  /** The names in `.env`. */
  file: ReadonlySet<string>
}

/** Reads `process.env` and `.env`; throws an `Error`, whose message follows the name `.env`, if the file cannot be read. */
export function readProcessEnvironment (): ProcessEnvironment {
  const file: Record<string, string> = {}
  const { error } = dotenv.config({ quiet: true, processEnv: file })
  const isMissing = error !== undefined && 'code' in error && String(error.code) === 'ENOENT'
  if (error !== undefined && !isMissing) throw new Error(`cannot be read: ${error.message}`)
  return { variables: { ...file, ...process.env }, file: new Set(Object.keys(file)) }
}
