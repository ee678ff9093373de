import type { Test } from 'tap'
import { type Client, connect, type ConnectOptions } from '../../../client/node.ts'
import { twin } from '../../../client/testing/index.ts'
import { findFreePort } from '../../support/free-port.ts'
import { call } from '../../support/service.ts'
import { type ServiceProcess, startProcess } from '../../support/service-process.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'
import { makeToken, SECRET } from '../../support/token.ts'
import { until } from '../../support/until.ts'

/** The content of a message of the backend `shop`. */
export type Content = { event?: string, data?: unknown, text?: string, bytes?: Uint8Array }

/** A service with the networks of its users: the real one, or its twin. */
export interface Side {
  connect: (user: string, options?: Partial<ConnectOptions>) => Client
  /** Publishes as the backend `shop`; returns the offset. */
  publish: (room: string, content: Content, options?: { exclude?: string }) => Promise<number | undefined>
  /** Ends the connections of a user, and refuses new ones. */
  cut: (user: string) => Promise<void>
  mend: (user: string) => Promise<void>
  /** Loses the answer to a request, and the connection with it; then the network is good again. */
  loseAnswer: (user: string, client: Client, request: () => void) => Promise<void>
  /** The service forgets everything. */
  restart: () => Promise<void>
  /** Lets time pass until a condition holds. */
  until: (condition: () => boolean, what?: string) => Promise<void>
}

/** The settings of a side. */
export interface SideOptions {
  /** Messages that a room remembers. */
  history?: number
}

/** Starts the real service as a process, with a network for each user. */
export async function startReal (t: Test, { history = 1_000 }: SideOptions): Promise<Side> {
  const port = await findFreePort()
  const settings = { JWT_SECRET: SECRET, MESSAGE_RATE: '0', HISTORY_SIZE: String(history), PORT: String(port) }
  let service: ServiceProcess = await startProcess(t, settings)
  const proxies = new Map<string, TcpProxy>()
  const proxyOf = (user: string): TcpProxy => {
    const proxy = proxies.get(user)
    if (proxy === undefined) throw new Error(`${user} has no network`)
    return proxy
  }
  for (const user of ['ada', 'bob']) proxies.set(user, await TcpProxy.start(t, port))
  return {
    connect (user, options) {
      const client = connect({ url: `http://127.0.0.1:${proxyOf(user).port}`, token: () => makeToken({ sub: user }), ...options })
      t.teardown(() => { client.close() })
      return client
    },
    async publish (room, content, options = {}) {
      const token = makeToken({ sub: 'shop' })
      const { bytes, event, ...rest } = content
      const named = { ...(event !== undefined && { event }), ...options }
      const parameters = bytes === undefined ? '' : `?${new URLSearchParams(named).toString()}`
      const body = bytes === undefined ? { ...rest, ...named } : Buffer.from(bytes)
      const answer = await call(service as never, 'POST', `/v1/rooms/${room}/messages${parameters}`, { body, token })
      if (answer.status !== 201) throw new Error(`the service answered ${answer.status}`)
      return answer.body.offset
    },
    async cut (user) { proxyOf(user).cut() },
    async mend (user) { proxyOf(user).heal() },
    async loseAnswer (user, client, request) {
      proxyOf(user).swallowReplies()
      request()
      await until(() => client.status.state !== 'connected', 'the loss of the connection')
      proxyOf(user).heal()
    },
    async restart () {
      service.child.kill('SIGTERM')
      await service.exited
      service = await startProcess(t, settings)
    },
    until
  }
}

/** Starts a twin. */
export async function startTwin (t: Test, options: SideOptions): Promise<Side> {
  const service = await twin(options)
  t.teardown(async () => { await service.close() })
  let restarts = 0
  return {
    connect: (user, options) => service.connect(user, options),
    async publish (room, content, options) {
      return (await service.publish(room, content as { data: unknown }, { from: 'shop', ...options })).offset
    },
    cut: async (user) => { await service.cut(user) },
    mend: async (user) => { await service.mend(user) },
    async loseAnswer (user, _client, request) {
      service.loseAnswers(user)
      request()
      await service.settle()
      await service.cut(user)
      await service.mend(user)
    },
    restart: async () => { await service.restart({ epoch: `later${++restarts}` }) },
    async until (condition, what = 'a condition') {
      for (let second = 0; !condition(); second++) {
        if (second > 3_600) throw new Error(`an hour has passed in vain for ${what}`)
        await service.advance('1s')
      }
    }
  }
}
