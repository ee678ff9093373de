import { fork } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import fastifyJwt from '@fastify/jwt'
import closeWithGrace from 'close-with-grace'
import { build } from 'esbuild'
import Fastify from 'fastify'
import roomcast, { readConfig } from 'roomcast'

const JWT_SECRET = process.env.JWT_SECRET ?? 'a secret of the example, thirty-two bytes and more'
const here = (file) => new URL(file, import.meta.url)

const { outputFiles: [script] } = await build({ entryPoints: [here('page.js').pathname], bundle: true, write: false, format: 'esm', minify: true })
const page = await readFile(here('page.html'))

const app = Fastify({ logger: { level: 'warn' } })
await app.register(fastifyJwt, { secret: JWT_SECRET })
await app.register(roomcast, { prefix: '/realtime', config: readConfig({ ...process.env, JWT_SECRET }) })

app.get('/', (_request, reply) => { reply.type('text/html').send(page) })
app.get('/page.js', (_request, reply) => { reply.type('text/javascript').send(script.text) })
// Anybody may look, for five minutes at a time; the page asks again by itself.
app.get('/token', () => ({ token: app.jwt.sign({ sub: 'viewer', rooms: { 'shop:*': ['join', 'history'] } }, { expiresIn: 300 }) }))

const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })

// The backend is a process of its own, and knows nothing but an address and a token.
const backend = fork(here('backend.js'), {
  env: { ...process.env, ROOMCAST_URL: `${url}/realtime`, ROOMCAST_TOKEN: app.jwt.sign({ sub: 'shop', rooms: { 'shop:*': ['publish'] } }, { expiresIn: 86_400 }) }
})
closeWithGrace(async () => {
  backend.kill()
  await app.close()
})
console.log(`The dashboard listens on ${url}`)
