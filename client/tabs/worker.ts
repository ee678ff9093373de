import { connectionKey, readToken } from './connection-key.ts'
import { lockLife } from './life-lock.ts'
import { Pages } from './pages.ts'
import type { Open, PageMessage, WorkerMessage } from './port-messages.ts'
import { SharedConnection } from './shared-connection.ts'
import { TabSocket } from './tab-socket.ts'

/*
 * The script of the shared worker: it runs once for all tabs of an origin. It exports nothing, so that it is a classic script as
 * well as a module.
 */

const pages = new Pages()
const connections = new Map<string, SharedConnection>()

addEventListener('connect', (event) => {
  const port = event instanceof MessageEvent ? event.ports[0] : undefined
  if (port === undefined) return
  port.onmessage = ({ data }: MessageEvent<PageMessage>) => {
    if (typeof data === 'object' && 'type' in data && data.type === 'open') open(port, data)
  }
  void lockLife().then((lock) => { port.postMessage({ type: 'ready', ...lock } satisfies WorkerMessage) })
})

function open (port: MessagePort, request: Open): void {
  const { protocols } = request
  const url = new URL(request.url)
  const origin = url.searchParams.get('origin') ?? String(Math.random())
  url.searchParams.delete('origin') // It names one client, and the connection is that of all.
  const page = pages.of(request)
  page.endLast(origin)
  const token = readToken(protocols)
  const key = connectionKey(url.href, token)
  let connection = connections.get(key)
  if (connection === undefined) {
    connection = new SharedConnection(url.href, token, protocols, () => {
      if (connections.get(key) === connection) connections.delete(key)
    })
    connections.set(key, connection)
  }
  connection.add(new TabSocket(port, request, origin, page, connection))
}
