import fp from 'fastify-plugin'

/**
 * Writes every answer of the routes around it as plain JSON. Compilers and serializers of the application are made for its
 * own schemas, and may fail after a message is published. Handlers return what they declare, so a serializer for each schema
 * would only make the start slower.
 */
export default fp(async (app) => {
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  app.setReplySerializer((data) => JSON.stringify(data))
}, { name: 'roomcast-serialization' })
