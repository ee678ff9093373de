import fp from 'fastify-plugin'

/**
 * Writes every answer of the routes around it as plain JSON. Compilers and serializers of the application are made for the
 * schemas of the application, and may fail after a message is published. The results of handlers match their schemas, so a
 * serializer for each schema would only slow down the start.
 */
export default fp(async (app) => {
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  app.setReplySerializer((data) => JSON.stringify(data))
}, { name: 'roomcast-serialization' })
