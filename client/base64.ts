/** Bytes as base64 (RFC 4648, section 4): what JSON has instead of binary frames. */
export function encodeBase64 (bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

export function decodeBase64 (text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
