import { Ajv, type ValidateFunction } from 'ajv'
import { SERVER_FRAMES } from '../../src/protocol/frames.ts'

// Stricter than a client has to be: a property that the schema does not name is a mistake of the server.
const ajv = new Ajv({ allErrors: true, coerceTypes: false, strict: false })
const validators = new Map<string, ValidateFunction>(
  Object.entries(SERVER_FRAMES).map(([type, schema]) => [type, ajv.compile({ ...schema, additionalProperties: false })])
)

/** Of these, a message has exactly one. */
const CONTENTS = ['text', 'data', 'binary']

/** Throws unless a frame is one that a server may send, by `SERVER_FRAMES`. */
export function assertServerFrame (frame: unknown): void {
  const { type } = frame as { type: string }
  const validate = validators.get(type)
  if (validate === undefined) throw new Error(`the server sent a frame of an unknown type: ${JSON.stringify(frame).slice(0, 500)}`)
  if (!validate(frame)) {
    throw new Error(`the server sent a bad frame: ${JSON.stringify(validate.errors)}: ${JSON.stringify(frame).slice(0, 500)}`)
  }
  if (type === 'message' && CONTENTS.filter((name) => Object.hasOwn(frame as object, name)).length !== 1) {
    throw new Error(`the server sent a message that is not exactly one of text, data and binary: ${JSON.stringify(frame).slice(0, 500)}`)
  }
}
