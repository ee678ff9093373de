import { test } from 'tap'
import { isChunkedAlone, isIdentityEncoding, isUtf8Charset } from '../../src/protocol/body-headers.ts'

test('a content encoding is accepted only if it is identity', async (t) => {
  for (const header of ['identity', 'Identity', ' IDENTITY ', 'identity, identity']) t.ok(isIdentityEncoding(header), header)
  for (const header of ['', 'gzip', 'GZIP', 'br', 'deflate', 'zstd', 'x', 'identity, gzip', 'gzip, identity', 'identity,']) {
    t.notOk(isIdentityEncoding(header), header)
  }
})

test('a transfer encoding is accepted only if it is chunked', async (t) => {
  for (const header of ['chunked', 'Chunked', ' chunked ']) t.ok(isChunkedAlone(header), header)
  for (const header of ['', 'gzip', 'gzip, chunked', 'gzip,chunked', 'chunked, chunked', 'identity']) {
    t.notOk(isChunkedAlone(header), header)
  }
})

test('a text is UTF-8 unless its content type has another charset', async (t) => {
  for (const header of [
    '', 'text/plain', 'text/plain; charset=utf-8', 'text/plain;charset=UTF-8', 'text/plain; Charset="Utf-8"',
    'text/plain; charset="u\\tf-8"',
    'text/plain; charset = utf-8', 'text/plain; charset=utf8', 'text/plain; x="; charset=latin1"', 'text/plain; x="\\"; charset=latin1"',
    'text/plain; xcharset=latin1', 'text/plain; charset*=latin1', 'text/plain; charset=utf-8; charset=UTF-8', 'text/plain;;;'
  ]) {
    t.ok(isUtf8Charset(header), header)
  }
  for (const header of [
    'text/plain; charset=iso-8859-1', 'text/plain;charset=UTF-16LE', 'text/plain; charset=us-ascii', 'text/plain; charset=',
    'text/plain; charset',
    'text/plain; charset=utf-8; charset=latin1', 'text/plain; charset=latin1; charset=utf-8', 'text/plain; CHARSET="utf-16"',
    "text/plain; charset='utf-8'", 'text/plain; charset="utf-8', 'text/plain; charset=utf-8 x', 'text/plain; x=y; charset=utf-7',
    'text/plain; x=""; charset=x'
  ]) {
    t.notOk(isUtf8Charset(header), header)
  }
})
