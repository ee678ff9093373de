/** Encodes bytes as base64 (RFC 4648, section 4), the form of a binary payload in JSON. */
export function encodeBase64 (bytes: Uint8Array): string {
  let text = ''
  // Each byte is an argument, and engines limit their number.
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192))
  return btoa(text)
}

/** Decodes base64 (RFC 4648, section 4). */
export function decodeBase64 (text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
