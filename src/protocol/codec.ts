import { Ajv, type ValidateFunction } from 'ajv'
import { MAX_JSON_DEPTH } from './depth.ts'
import { CLIENT_FRAMES, type ClientFrame, type FrameId, type ServerFrame } from './frames.ts'
import { findJsonFault, parseJson } from './json.ts'
import { ROOM_RULE } from './names.ts'
import { TRUSTED_SCHEMAS } from './schema.ts'

/** The result of decoding one text frame: the frame, or the reason of its refusal. */
export type Decoded = { ok: true, frame: ClientFrame } | Refused

export interface Refused {
  ok: false
  code: 'invalid_json' | 'invalid_frame' | 'unknown_type' | 'invalid_room' | 'too_deep'
  text: string
  /** The id of the frame, if it has a valid one. */
  id: FrameId | undefined
  /** Whether the text is not a JSON object at all. */
  malformed: boolean
  /** Whether it is a publish that announces a binary frame, which will follow. */
  announcesBinary: boolean
}

// Not Fastify's Ajv, which coerces types and removes unknown properties.
const ajv = new Ajv({ ...TRUSTED_SCHEMAS, allErrors: false, coerceTypes: false, removeAdditional: false, strict: true })

/** Validators by frame type, each compiled for its first frame. */
const validators = new Map<string, ValidateFunction>()

function validatorOf (type: string): ValidateFunction | undefined {
  const known = validators.get(type)
  if (known !== undefined || !Object.hasOwn(CLIENT_FRAMES, type)) return known
  const validate = ajv.compile(CLIENT_FRAMES[type as keyof typeof CLIENT_FRAMES])
  validators.set(type, validate)
  return validate
}

/** Decodes a text frame of a client. ws has checked that it is valid UTF-8, as RFC 6455 requires. */
export function decodeFrame (json: string): Decoded {
  let value: unknown
  try {
    value = parseJson(json)
  } catch {
    return refuse('invalid_json', 'Invalid JSON', undefined)
  }
  if (typeof value !== 'object' || value === null) return refuse('invalid_frame', 'A frame is a JSON object', undefined)
  // One level for the frame around the published value.
  const fault = findJsonFault(value, MAX_JSON_DEPTH + 1, json.includes('\\u'))
  if (fault?.code === 'too_deep') return refuse('too_deep', fault.text, value)
  if (Array.isArray(value)) return refuse('invalid_frame', 'A frame is a JSON object', undefined)

  const type: unknown = (value as { type?: unknown }).type
  if (typeof type !== 'string') return refuse('invalid_frame', 'A frame needs a "type"', value)
  const validate = validatorOf(type)
  if (validate === undefined) return refuse('unknown_type', `Unknown frame type ${JSON.stringify(type.slice(0, 64))}`, value)
  if (validate(value)) {
    return fault === undefined ? { ok: true, frame: value as ClientFrame } : refuse('invalid_json', `Invalid JSON: ${fault.text}`, value)
  }

  const error = validate.errors?.[0]
  const property = error?.instancePath.slice(1) ?? ''
  if (property === 'room') return refuse('invalid_room', ROOM_RULE, value)
  return refuse('invalid_frame', `Invalid ${type} frame: ${property === '' ? '' : `"${property}" `}${error?.message ?? ''}`, value)
}

/** Encodes a server frame. */
export function encodeFrame (frame: ServerFrame): string {
  return JSON.stringify(frame)
}

function refuse (code: Refused['code'], text: string, value: unknown): Refused {
  const { id, type, binary } = (value ?? {}) as Record<string, unknown>
  return {
    ok: false,
    code,
    text,
    id: isFrameId(id) ? id : undefined,
    malformed: value === undefined || Array.isArray(value),
    announcesBinary: type === 'publish' && Number.isSafeInteger(binary) && Number(binary) >= 0
  }
}

function isFrameId (id: unknown): id is FrameId {
  return typeof id === 'string' ? id !== '' && id.length <= 128 && id.isWellFormed() : Number.isSafeInteger(id) && Number(id) >= 0
}
