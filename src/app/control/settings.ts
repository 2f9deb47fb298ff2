/** Slices of the configuration as the control process's own adapters want them. */
import { availableParallelism } from 'node:os'
import type { Config } from '../../core/config/index.ts'
import type { EtcdSettings } from '../../io/etcd/follower.ts'
import type { PeerTls } from '../../io/http/patroni-client.ts'
import type { RestSettings } from '../../io/http/rest-server.ts'
import { defaultFormat, type LogFormat } from '../../io/telemetry/log.ts'

export type Files = ReadonlyMap<string, string>

export function etcdSettings({ etcd }: Config, files: Files): EtcdSettings {
  return {
    endpoints: etcd.endpoints,
    protocol: etcd.protocol,
    username: etcd.username,
    password: etcd.password,
    ca: text(files, etcd.cacertFile),
    cert: text(files, etcd.certFile),
    key: text(files, etcd.keyFile),
  }
}

export function peerTls({ peers }: Config, files: Files): PeerTls {
  const cert = text(files, peers.certFile)
  return {
    ca: peers.insecure ? null : text(files, peers.caFile),
    cert,
    key: text(files, peers.keyFile) ?? cert,
    passphrase: peers.keyPassword,
    verifyHost: peers.verifyHost,
  }
}

/** Null when the configuration has no `restapi` section. */
export function restSettings({ restapi }: Config, files: Files): RestSettings | null {
  if (restapi === null) return null
  const cert = text(files, restapi.certFile)
  const tls = {
    key: text(files, restapi.keyFile) ?? cert ?? '',
    passphrase: restapi.keyPassword,
    ca: text(files, restapi.caFile),
    ciphers: restapi.ciphers,
    verifyClient: restapi.verifyClient,
  }
  return {
    host: restapi.listen.host,
    port: restapi.listen.port,
    tls: cert === null ? null : { cert, ...tls },
    extraHeaders: restapi.extraHeaders,
  }
}

export function workerCount({ router }: Config): number {
  const wanted = router?.workers ?? 'auto'
  return wanted === 'auto' ? availableParallelism() : wanted
}

export function logFormat({ log }: Config): LogFormat {
  return log.format === 'auto' ? defaultFormat() : log.format
}

function text(files: Files, path: string | null): string | null {
  return path === null ? null : (files.get(path) ?? null)
}
