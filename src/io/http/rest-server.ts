/**
 * The REST server of a router. Knows HTTP, not routing: bodies come from `RestApi`. Reading is open
 * to everybody, as with Patroni; there is nothing to change here yet.
 */
import type { Server } from 'node:http'
import type { SecureContextOptions } from 'node:tls'
import fastify, { type FastifyInstance } from 'fastify'
import type { RingedEvent } from '../../core/api/types.ts'
import { serveEvents } from './event-stream.ts'

export type RestApi = {
  router(): object
  health(): { readonly status: 200 | 503; readonly words: string }
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>
  clients(query: Readonly<Record<string, string>>): Promise<object>
  readonly events: {
    since(lastId: string | null): readonly RingedEvent[]
    listen(reader: (event: RingedEvent) => void): () => void
  }
}

export type RestSettings = {
  readonly host: string
  readonly port: number
  /** PEM texts; null: plain HTTP. */
  readonly tls: {
    readonly cert: string
    readonly key: string
    readonly passphrase: string | null
    readonly ca: string | null
    readonly ciphers: string | null
    readonly verifyClient: 'none' | 'optional' | 'required'
  } | null
  readonly extraHeaders: Readonly<Record<string, string>>
}

export type RestServer = {
  /** Takes new certificates for connections to come. */
  renew(tls: NonNullable<RestSettings['tls']>): void
  close(): Promise<void>
}

const BODY_BYTES_MAX = 64 * 1024
const REQUEST_MS = 10_000
const CONNECTIONS_MAX = 1000

/** Listens; rejects with Node's error when the address can't be had. */
export async function openRestServer(settings: RestSettings, api: RestApi): Promise<RestServer> {
  const app = build(settings)
  app.addHook('onSend', async (_request, reply) => void reply.headers(settings.extraHeaders))
  addRoutes(app, api)
  const events = serveEvents(app, api.events)
  app.server.maxConnections = CONNECTIONS_MAX
  await app.listen({ host: settings.host, port: settings.port, ipv6Only: false })
  return {
    renew: (tls) => (app.server as SecureServer).setSecureContext?.(tlsOptions(tls)),
    async close() {
      events.close()
      await app.close()
    },
  }
}

type SecureServer = Server & { setSecureContext?(options: SecureContextOptions): void }

function addRoutes(app: FastifyInstance, api: RestApi): void {
  app.get('/router', async () => api.router())
  app.get('/health', async (_request, reply) => {
    const { status, words } = api.health()
    return reply.code(status).send({ status: status === 200 ? 'ok' : 'failing', words })
  })
  app.get('/metrics', async (_request, reply) => {
    const { contentType, body } = await api.metrics()
    return reply.type(contentType).send(body)
  })
  app.get('/clients', async (request) => api.clients(textQuery(request.query)))
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]
    return reply.code(404).send({ error: `there is no ${request.method} ${path}` })
  })
}

function build(settings: RestSettings): FastifyInstance {
  const options = {
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: true,
  } as const
  if (settings.tls === null) return fastify(options)
  const https = tlsOptions(settings.tls)
  return fastify({ ...options, https }) as unknown as FastifyInstance
}

function tlsOptions(tls: NonNullable<RestSettings['tls']>) {
  return {
    cert: tls.cert,
    key: tls.key,
    ...(tls.passphrase === null ? {} : { passphrase: tls.passphrase }),
    ...(tls.ca === null ? {} : { ca: tls.ca }),
    ...(tls.ciphers === null ? {} : { ciphers: tls.ciphers }),
    requestCert: tls.verifyClient !== 'none',
    rejectUnauthorized: tls.verifyClient === 'required',
  }
}

/** Repeated parameters count once, the last one. */
function textQuery(query: unknown): Record<string, string> {
  const entries = Object.entries(query as Record<string, string | string[]>)
  return Object.fromEntries(entries.map(([key, value]) => [key, [value].flat().at(-1) ?? '']))
}
