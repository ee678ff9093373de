import { fileURLToPath } from 'node:url'
import fastifyJwt from '@fastify/jwt'
import closeWithGrace from 'close-with-grace'
import { build } from 'esbuild'
import Fastify from 'fastify'
import roomcast, { readConfig } from 'roomcast'

const JWT_SECRET = process.env.JWT_SECRET ?? 'a secret of the example, thirty-two bytes and more'
const folder = fileURLToPath(new URL('.', import.meta.url))

// The page, in one file: React, the hooks and the chat.
const { outputFiles } = await build({
  entryPoints: [`${folder}page.jsx`, `${folder}page.css`],
  outdir: folder,
  bundle: true,
  write: false,
  splitting: true, // What only some clients need stays a file of its own.
  format: 'esm',
  jsx: 'automatic',
  minify: true,
  define: { 'process.env.NODE_ENV': '"production"' }
})

const app = Fastify({ logger: { level: 'warn' } })
await app.register(fastifyJwt, { secret: JWT_SECRET })
await app.register(roomcast, { prefix: '/realtime', config: readConfig({ ...process.env, JWT_SECRET }) })

// Whoever says a name may chat under it. Yours will know better who somebody is.
app.post('/sign-in', async (request) => {
  const { name } = request.body
  return { token: app.jwt.sign({ sub: name, rooms: { 'chat:*': ['join', 'publish', 'history'] } }, { expiresIn: 3600 }) }
})

app.get('/', (_request, reply) => {
  reply.type('text/html').send('<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Chat</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css"><div id="root"></div><script type="module" src="/page.js"></script></html>')
})
for (const { path, text } of outputFiles) {
  app.get(`/${path.slice(folder.length)}`, (_request, reply) => { reply.type(path.endsWith('.css') ? 'text/css' : 'text/javascript').send(text) })
}

closeWithGrace(async () => { await app.close() })
console.log(`The chat listens on ${await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })}. Open it in two tabs.`)
