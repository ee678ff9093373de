/** Whether a `Content-Encoding` says that the body is as it is (RFC 9110, section 8.4). */
export function isIdentityEncoding (header: string): boolean {
  return header.split(',').every((coding) => coding.trim().toLowerCase() === 'identity')
}

/** Whether a `Transfer-Encoding` is `chunked` alone, the only coding that Node decodes (RFC 9112, section 6.1). */
export function isChunkedAlone (header: string): boolean {
  return header.trim().toLowerCase() === 'chunked'
}

/** Whether the text of a body is UTF-8 by its `Content-Type`: without a `charset` it is. */
export function isUtf8Charset (contentType: string): boolean {
  return readCharsets(contentType).every((charset) => charset === 'utf-8' || charset === 'utf8')
}

/** The values of all `charset` parameters (RFC 9110, section 8.3.1), in lower case. */
function readCharsets (contentType: string): string[] {
  const charsets: string[] = []
  for (const parameter of splitParameters(contentType).slice(1)) {
    const equals = parameter.indexOf('=')
    const name = equals === -1 ? parameter : parameter.slice(0, equals)
    const value = equals === -1 ? '' : unquote(parameter.slice(equals + 1).trim())
    if (name.trim().toLowerCase() === 'charset') charsets.push(value.toLowerCase())
  }
  return charsets
}

/** Splits at each semicolon outside of a quoted string. */
function splitParameters (contentType: string): string[] {
  const parts: string[] = []
  let start = 0
  let isQuoted = false
  for (let i = 0; i < contentType.length; i++) {
    const character = contentType[i]
    if (character === '"') isQuoted = !isQuoted
    else if (character === '\\' && isQuoted) i++
    else if (character === ';' && !isQuoted) {
      parts.push(contentType.slice(start, i))
      start = i + 1
    }
  }
  parts.push(contentType.slice(start))
  return parts
}

function unquote (value: string): string {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value
  return value.slice(1, -1).replace(/\\(.)/gs, '$1')
}
