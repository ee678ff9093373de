import closeWithGrace from 'close-with-grace'
import { buildShop } from './app.js'

const app = await buildShop({ logger: { level: 'warn' } })
closeWithGrace({ delay: app.roomcast.config.DRAIN_DEADLINE_MS }, async () => {
  await app.roomcast.shutdown.drain() // Lets the clients go one after the other.
  await app.close()
})
console.log(`The shop is at ${await app.listen({ port: Number(process.env.PORT ?? 3000) })}`)
