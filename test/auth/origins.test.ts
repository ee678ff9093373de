import { test } from 'tap'
import { isOriginAllowed, readOrigins } from '../../src/auth/origins.ts'

test('an origin is compared in its normal form', async (t) => {
  const allowed = readOrigins(['HTTPS://App.Example.COM:443', 'http://localhost:5173'])
  for (const origin of ['https://app.example.com', 'https://APP.example.com', 'https://app.example.com:443', 'http://localhost:5173']) {
    t.ok(isOriginAllowed(allowed, origin), origin)
  }
  for (const origin of [
    'http://app.example.com', 'https://app.example.com:8443', 'http://localhost', 'https://app.example.com.evil.example'
  ]) {
    t.notOk(isOriginAllowed(allowed, origin), origin)
  }
})

test('a text that is no origin is never allowed by a list, and always by *', async (t) => {
  const allowed = readOrigins(['https://a.example'])
  for (const origin of [
    'null', '', 'a.example', 'https://a.example/path', 'https://u@a.example', 'https://a.example?x', 'file:///x', 'data:,x'
  ]) {
    t.notOk(isOriginAllowed(allowed, origin), origin)
    t.ok(isOriginAllowed('*', origin), origin)
  }
})
