import { readFile } from 'node:fs/promises'
import fastifyJwt from '@fastify/jwt'
import closeWithGrace from 'close-with-grace'
import { build } from 'esbuild'
import Fastify from 'fastify'
import { Cable } from './cable.js'
import { startRoomcast, startSocketIo } from './services.js'

const JWT_SECRET = 'a secret of the example, thirty-two bytes and more'
const here = (file) => new URL(file, import.meta.url)

const { outputFiles: [script] } = await build({ entryPoints: [here('page.js').pathname], bundle: true, write: false, format: 'esm', minify: true })
const page = await readFile(here('page.html'))
const style = await readFile(here('page.css'))

const services = {
  roomcast: await startRoomcast(JWT_SECRET),
  socketIo: await startSocketIo(),
  recovery: await startSocketIo({ connectionStateRecovery: {} })
}
const cable = new Cable()
const ports = {}
for (const [name, { port }] of Object.entries(services)) ports[name] = await cable.forward(port)

// This application is not behind the cable: the page can always reach its switch.
const app = Fastify({ logger: { level: 'warn' } })
await app.register(fastifyJwt, { secret: JWT_SECRET })

app.get('/', (_request, reply) => { reply.type('text/html').send(page) })
app.get('/page.css', (_request, reply) => { reply.type('text/css').send(style) })
app.get('/page.js', (_request, reply) => { reply.type('text/javascript').send(script.text) })
app.get('/ports', () => ports)
app.get('/token', () => ({ token: app.jwt.sign({ sub: 'you', rooms: { 'plug:*': ['join', 'publish', 'history'] } }, { expiresIn: 3600 }) }))

app.put('/plug', ({ body: { plug } }) => {
  cable.setPlug(plug)
  return {}
})

// Another user writes to the room of the page, in all services.
app.post('/messages', async ({ body: { room, messages } }) => {
  for (const message of messages) {
    for (const { publish } of Object.values(services)) await publish(room, message)
  }
  return {}
})

closeWithGrace(async () => {
  cable.close()
  await app.close()
  for (const { close } of Object.values(services)) await close()
})
console.log(`The page listens on ${await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })}`)
