import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where Debian and nginx' own packages have modules. */
const MODULES = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/etc/nginx/modules'].map((folder) => join(folder, 'ngx_nchan_module.so'))

/** nginx with nchan: one process, messages kept as Roomcast keeps them. The room is in the path. No token is looked at. */
export default {
  name: 'nchan',
  shapes: ['hot', 'tick', 'tick50', 'solo', 'rooms', 'upgrade', 'memory'],
  program: 'nginx',
  lacks: () => MODULES.some((path) => existsSync(path)) ? undefined : 'the module ngx_nchan_module.so is not there',
  protocol: {
    path: '/rooms/%R',
    publish: '%T'
  },
  run: ({ port, folder, program }) => {
    mkdirSync(join(folder, 'temporary'), { recursive: true })
    const settings = join(folder, 'nginx.conf')
    writeFileSync(settings, `
      load_module ${MODULES.find((path) => existsSync(path))};
      daemon off;
      master_process off;
      pid ${folder}/nginx.pid;
      error_log /dev/null;
      worker_rlimit_nofile 1000000;
      events { worker_connections 60000; }
      http {
        access_log off;
        tcp_nodelay on;
        client_body_temp_path ${folder}/temporary;
        nchan_max_reserved_memory 512m;
        server {
          listen 127.0.0.1:${port} backlog=4096;
          location ~ ^/rooms/(.+)$ {
            nchan_pubsub websocket;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
            nchan_message_buffer_length 1000;
            nchan_message_timeout 1h;
          }
        }
      }
    `)
    return { command: program, parameters: ['-c', settings, '-p', folder, '-e', '/dev/null'] }
  }
}
