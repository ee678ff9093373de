import { join } from 'node:path'

/** The service as it is, with everything on that is on by default; only nobody is told to slow down. */
export default {
  name: 'roomcast',
  shapes: ['hot', 'tick', 'tick50', 'solo', 'rooms', 'upgrade', 'upgrade-users', 'memory', 'growth', 'spread', 'slow', 'rest', 'redis-hot', 'redis-latency', 'redis-rate', 'redis-batch-rate', 'start'],
  protocol: {
    path: '/ws?token=%K',
    join: { send: '{"type":"join","room":"%R"}', until: '"joined","room":"%R"' },
    publish: '{"type":"chat","room":"%R","text":"%T"}',
    rest: {
      single: { path: '/v1/rooms/%R/messages', body: '{"text":"%T"}' },
      batch: { path: '/v1/messages', body: '{"messages":[%M]}', item: '{"room":"%R","text":"%T"}' }
    }
  },
  run: ({ port, secret, redis, root }) => ({
    command: process.execPath,
    parameters: [join(root, 'dist/src/server.js')],
    environment: {
      PORT: String(port),
      JWT_SECRET: secret,
      MESSAGE_RATE: '0',
      REST_RATE: '0',
      LOG_LEVEL: 'error',
      ...(redis !== undefined && { REDIS_URL: redis })
    }
  })
}
