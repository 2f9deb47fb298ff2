/** Slices of the configuration, in the shapes their users fixed. */
import type { ClientTls, ServerTls, WorkerSettings } from '../fleet/messages.ts'
import type { ListenerPolicy } from '../routing/types.ts'
import type { Config, RouterConfig } from './types.ts'

/**
 * What a worker needs of the router section. `files` holds the PEM texts by path, as `loadConfig`
 * read them. Throws when there is no router section or a file was not read: bugs of the caller.
 */
export function workerSettings(config: Config, files: ReadonlyMap<string, string>): WorkerSettings {
  const router = routerOf(config)
  return {
    listeners: router.listeners.map(({ name, listen, target, mode, proxyProtocolFrom }) => ({
      name,
      addresses: listen,
      target,
      mode,
      proxyProtocolFrom,
    })),
    hold: router.hold,
    limits: router.limits,
    keepalive: router.keepalive,
    clientTls: clientTls(router, files),
    serverTls: serverTls(router, files),
    shutdownGraceMs: router.shutdownGraceMs,
  }
}

/** How each listener wants its clients routed; empty without a router section. */
export function listenerPolicies(config: Config): ListenerPolicy[] {
  const listeners = config.router?.listeners ?? []
  return listeners.map(({ name, target, fallback, balance, maxLagBytes }) => ({
    name,
    target,
    fallback,
    balance,
    maxLagBytes,
  }))
}

function routerOf(config: Config): RouterConfig {
  if (config.router === null) throw new Error('no router section: there are no workers to set up')
  return config.router
}

function clientTls(router: RouterConfig, files: ReadonlyMap<string, string>): ClientTls | null {
  const tls = router.clientTls
  if (tls === null) return null
  return {
    mode: tls.mode,
    cert: pemText(files, tls.certFile),
    key: pemText(files, tls.keyFile),
    ca: tls.caFile === null ? null : pemText(files, tls.caFile),
  }
}

function serverTls(router: RouterConfig, files: ReadonlyMap<string, string>): ServerTls {
  const { mode, caFile, certFile, keyFile } = router.serverTls
  const optional = (path: string | null) => (path === null ? null : pemText(files, path))
  return { mode, ca: optional(caFile), cert: optional(certFile), key: optional(keyFile) }
}

function pemText(files: ReadonlyMap<string, string>, path: string): string {
  const text = files.get(path)
  if (text === undefined) throw new Error(`the PEM file ${path} was not read`)
  return text
}
