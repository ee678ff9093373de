import { test } from 'tap'
import { isOriginAllowed, readOrigins } from '../../src/auth/origins.ts'

test('an origin is compared in its normal form', async (t) => {
  const allowed = readOrigins(['HTTPS://App.Example.COM:443/', 'http://localhost:5173', 'https://exämple.com', 'http://[::1]:8080'])
  for (const origin of [
    'https://app.example.com', 'https://APP.example.com', 'https://app.example.com:443', 'http://localhost:5173',
    'https://xn--exmple-cua.com', 'http://[::1]:8080'
  ]) {
    t.ok(isOriginAllowed(allowed, origin), origin)
  }
  for (const origin of [
    'http://app.example.com', 'https://app.example.com:8443', 'http://localhost', 'https://app.example.com.evil.example'
  ]) {
    t.notOk(isOriginAllowed(allowed, origin), origin)
  }
})

test('origins of apps and extensions are compared as text', async (t) => {
  const origins = [
    'capacitor://localhost', 'ionic://localhost', 'tauri://localhost', 'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
    'moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc', 'app://obsidian.md', 'app://.', 'app://-', 'vscode-webview://1a2b', 'file://',
    'tauri://localhost:1420'
  ]
  for (const origin of origins) {
    const allowed = readOrigins([`${origin.toUpperCase()}/`])
    t.strictSame(origins.filter((other) => isOriginAllowed(allowed, other)), [origin])
  }
  const allowed = readOrigins(['capacitor://localhost'])
  for (const origin of ['capacitor://localhost.evil.example', 'capacitor://localhost:1', 'http://localhost', 'null']) {
    t.notOk(isOriginAllowed(allowed, origin), origin)
  }
})

test('a * as the first label stands for subdomains of any depth, and for nothing else', async (t) => {
  const allowed = readOrigins(['https://*.Example.com', 'https://*.example.org:8443', 'http://*.localhost'])
  for (const origin of [
    'https://app.example.com', 'https://a.b.example.com', 'https://A.example.com:443', 'https://x_y.example.com',
    'https://app.example.org:8443', 'http://app.localhost'
  ]) {
    t.ok(isOriginAllowed(allowed, origin), origin)
  }
  for (const origin of [
    'https://example.com', 'https://evil-example.com', 'https://app.example.com.evil.example', 'http://app.example.com',
    'https://app.example.com:444', 'https://app.example.org', 'https://.example.com', 'https://..example.com', 'https://*.example.com',
    'https://app.example.com.', 'https://evil.example,app.example.com', 'https://evil.example#.example.com',
    'https://evil.example/.example.com', 'https://evil.example\\.example.com', 'https://u@app.example.com', 'https://a%2eb.example.com'
  ]) {
    t.notOk(isOriginAllowed(allowed, origin), origin)
  }
})

test('a text that is no origin is never allowed by a list, and always by *', async (t) => {
  const allowed = readOrigins(['https://a.example', 'https://*.a.example', 'file://', 'app://.'])
  for (const origin of [
    'null', '', 'a.example', 'https://a.example/path', 'https://a.example/', 'https://u@a.example', 'https://a.example?x', 'file:///x',
    'data:,x', 'https:a.example', 'https://a.example:', 'https://a.example, https://a.example', 'https://a.example,https://a.example'
  ]) {
    t.notOk(isOriginAllowed(allowed, origin), origin)
    t.ok(isOriginAllowed('*', origin), origin)
  }
})

test('an entry that no origin can match is refused, with the reason', async (t) => {
  const refused: Record<string, RegExp> = {
    null: /every site/,
    'ws://a.example': /write http:/,
    'WSS://a.example': /write https:/,
    'data://x': /send null/,
    'htps://a.example': /write http or https/,
    'example.com': /write a scheme/,
    'localhost:5173': /write a scheme/,
    '//a.example': /write a scheme/,
    'https:a.example': /write a scheme/,
    'https:///a.example': /write a scheme/,
    'https://a.example/path': /nothing else/,
    'https://a.example?x': /nothing else/,
    'https://u@a.example': /nothing else/,
    'https://a.example#x': /nothing else/,
    'https://': /correct the host/,
    'capacitor://': /correct the host/,
    'https://a..example': /correct the host/,
    'https://a,b.example': /correct the host/,
    'https://a.example:99999': /the port/,
    'app://a.example:99999': /the port/,
    'https://*.127.0.0.1': /correct the host/,
    'https://*': /write \* only/,
    'https://*:8443': /write \* only/,
    'https://*.': /write \* only/,
    'https://*.*.example': /write \* only/,
    'https://**.example.com': /write \* only/,
    'https://a.*.example': /write \* only/,
    'https://*a.example': /write \* only/,
    'chrome-extension://*': /write \* only/,
    [`https://${'a.'.repeat(300)}example`]: /correct the host/
  }
  for (const [entry, reason] of Object.entries(refused)) t.throws(() => { readOrigins([entry]) }, { message: reason }, entry)
  t.throws(() => { readOrigins(['*', 'https://a.example']) }, { message: 'has * and others' })
})

test('the time of a comparison does not grow with the length of the header', async (t) => {
  const allowed = readOrigins(['https://*.example.com'])
  const timeOf = (origin: string): number => {
    const start = process.cpuUsage()
    for (let i = 0; i < 20_000; i++) isOriginAllowed(allowed, origin)
    return process.cpuUsage(start).user
  }
  const short = timeOf(`https://${'a.'.repeat(250)}`)
  t.ok(timeOf(`https://${'a.'.repeat(8_000)}`) <= 16 * Math.max(short, 1_000))
})
