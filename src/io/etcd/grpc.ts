/**
 * The gRPC channel to one etcd endpoint. Uses the very gRPC module that `etcd3` loads (two copies
 * would not accept each other's credentials), and of `etcd3` its generated services.
 */
import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import type {
  IAuthenticateResponse,
  IDuplexStream,
  IRangeRequest,
  IRangeResponse,
  IWatchRequest,
  IWatchResponse,
} from 'etcd3'
import { Host } from 'etcd3/lib/connection-pool.js'
import { EtcdError } from './errors.ts'

/** How to reach the cluster; PEM texts, not paths. Null `ca` means the CAs that Node trusts. */
export type EtcdSettings = {
  /** `host:port`, IPv6 in brackets. */
  readonly endpoints: readonly string[]
  readonly protocol: 'http' | 'https'
  readonly username: string | null
  readonly password: string | null
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
}

export type WatchStream = IDuplexStream<IWatchRequest, IWatchResponse>
export type Metadata = { set(key: string, value: string): void }
export type Call = { cancel(): void }
/** A call with one answer, as gRPC generates it. */
export type Unary<Req, Res> = (
  request: Req,
  metadata: Metadata,
  options: { deadline: number },
  done: (error: Error | null, reply: Res) => void,
) => Call

export type Channel = {
  readonly range: Unary<IRangeRequest, IRangeResponse>
  readonly authenticate: Unary<{ name: string; password: string }, IAuthenticateResponse>
  readonly watch: (metadata: Metadata) => WatchStream
  newMetadata(): Metadata
  close(): void
}

type ChannelCredentials = ConstructorParameters<typeof Host>[1]
type Grpc = {
  readonly Metadata: new () => Metadata
  readonly credentials: {
    createInsecure(): ChannelCredentials
    createSsl(
      ca: Buffer | null,
      key: Buffer | null,
      cert: Buffer | null,
      verify: { checkServerIdentity(name: string, peer: PeerCertificate): Error | undefined },
    ): ChannelCredentials
  }
}
type Services = {
  readonly KV: { range: Channel['range']; close(): void }
  readonly Auth: { authenticate: Channel['authenticate']; close(): void }
  readonly Watch: { watch: Channel['watch']; close(): void }
}

const requireHere = createRequire(import.meta.url)
const grpc = createRequire(requireHere.resolve('etcd3'))('@grpc/grpc-js') as Grpc

/** Largest answer taken; etcd's own limit for one value is 1.5 MiB, a page holds many. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024
/**
 * Sent as TLS server name where the address is an IP: such a name must not be an address
 * (RFC 6066) and gRPC cannot leave it out. The certificate is checked against the address.
 */
const SERVER_NAME_OF_IP = 'etcd.invalid'

/** Numbers channels, so that each one gets a socket of its own (see `channelOptions`). */
let channels = 0

/** Nothing is sent before the first call. Throws `EtcdError` (settings). */
export function createChannel(settings: EtcdSettings, address: string): Channel {
  const host = address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  const services = createServices(settings, address, host)
  return {
    range: services.KV.range.bind(services.KV),
    authenticate: services.Auth.authenticate.bind(services.Auth),
    watch: services.Watch.watch.bind(services.Watch),
    newMetadata: () => new grpc.Metadata(),
    close() {
      for (const service of Object.values(services)) service.close()
    },
  }
}

function createServices(settings: EtcdSettings, address: string, host: string): Services {
  try {
    const peer = new Host(address, createCredentials(settings, host), channelOptions(host))
    const service = (name: keyof Services) => peer.getServiceClient(name) as unknown
    return { KV: service('KV'), Auth: service('Auth'), Watch: service('Watch') } as Services
  } catch (error) {
    throw new EtcdError('settings', `etcd settings for ${address}: ${String(error)}`, error)
  }
}

function createCredentials(settings: EtcdSettings, host: string): ChannelCredentials {
  if (settings.protocol === 'http') return grpc.credentials.createInsecure()
  const { ca, key, cert } = settings
  const bytes = (pem: string | null) => (pem === null ? null : Buffer.from(pem))
  return grpc.credentials.createSsl(bytes(ca), bytes(key), bytes(cert), {
    checkServerIdentity: (_name, peer) => checkServerIdentity(host, peer),
  })
}

/**
 * The services of one channel share one socket because their options are equal, so that a proof by
 * a read proves the way of the watch too. `pgsteer.channel` keeps it apart from any other channel:
 * a socket is never taken over from a lost connection, and closing one closes no other.
 * No HTTP/2 keepalive: etcd answers pings more frequent than its `--grpc-keepalive-min-time` (5 s)
 * with GOAWAY, and a ping proves nothing about the quorum.
 */
function channelOptions(host: string): Record<string, string | number> {
  channels += 1
  return {
    'pgsteer.channel': channels,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    ...(isIP(host) === 0 ? {} : { 'grpc.ssl_target_name_override': SERVER_NAME_OF_IP }),
  }
}
