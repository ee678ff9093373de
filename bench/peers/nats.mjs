import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** nats-server, whose subjects are the rooms, over its WebSocket listener. No token, no history. */
export default {
  name: 'nats',
  shapes: ['hot', 'tick', 'tick50', 'solo', 'rooms', 'upgrade', 'memory'],
  program: 'nats-server',
  protocol: {
    path: '/',
    binary: true,
    open: [{ send: 'CONNECT {"verbose":false}\r\n', until: 'INFO' }],
    join: { send: 'SUB %R 1\r\nPING\r\n', until: 'PONG' },
    publish: 'PUB %R %S\r\n%T\r\n'
  },
  run: ({ port, folder, program }) => {
    const settings = join(folder, 'nats.conf')
    writeFileSync(settings, `host: 127.0.0.1\nport: -1\nmax_connections: 100000\nlog_file: "/dev/null"\nwebsocket { host: 127.0.0.1, port: ${port}, no_tls: true }\n`)
    return { command: program, parameters: ['-c', settings] }
  }
}
