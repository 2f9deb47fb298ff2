/**
 * The checked configuration: every default filled in, times in milliseconds, sizes in bytes. Other
 * parts get the slice they need (see `slices.ts`), never the YAML.
 */
import type { ClientTls, ListenAddress, ServerTls } from '../fleet/messages.ts'
import type { ListenerPolicy } from '../routing/types.ts'

/** A path into the YAML, outermost key first. */
export type Path = readonly (string | number)[]

/** Where something stands in the text; `file` is null when there is only one text. */
export type Place = { readonly line: number; readonly column: number; readonly file?: string }

/** Finds the place of a path, or null when the text has no such path. */
export type Where = (path: (string | number)[]) => Place | null

export type Env = Readonly<Record<string, string | undefined>>

/** `ctl`: commands that only talk to a cluster need no node name and no router section. */
export type Purpose = 'run' | 'ctl'

export type Problem = {
  readonly severity: 'error' | 'warning'
  /** `router.listeners[0].mode`; empty for the document as a whole. */
  readonly path: string
  /** 1-based; null when the value came from the environment or there is no text. */
  readonly line: number | null
  readonly column: number | null
  /** The file it stands in, when the configuration is a directory of files. */
  readonly file?: string
  /** What was found and what is accepted; never the value of a secret. */
  readonly message: string
}

export type HostPort = { readonly host: string; readonly port: number }

export type EtcdConfig = {
  /** `host:port`, IPv6 in brackets. */
  readonly endpoints: readonly string[]
  readonly protocol: 'http' | 'https'
  readonly username: string | null
  readonly password: string | null
  readonly cacertFile: string | null
  readonly certFile: string | null
  readonly keyFile: string | null
}

export type RestConfig = {
  /** `*` in the YAML is `::` here: both families. */
  readonly listen: HostPort
  readonly connectAddress: string
  readonly certFile: string | null
  readonly keyFile: string | null
  readonly keyPassword: string | null
  readonly caFile: string | null
  readonly ciphers: string | null
  readonly verifyClient: 'none' | 'optional' | 'required'
  readonly username: string | null
  readonly password: string | null
  readonly allowlist: readonly string[]
  readonly allowlistIncludeMembers: boolean
  readonly extraHeaders: Readonly<Record<string, string>>
}

/** How to call other members' REST API: the `ctl` section, else `restapi`. */
export type PeersConfig = {
  readonly caFile: string | null
  readonly certFile: string | null
  readonly keyFile: string | null
  readonly keyPassword: string | null
  readonly username: string | null
  readonly password: string | null
  /** The peer's certificate is not checked at all. */
  readonly insecure: boolean
  /** The peer's certificate must also carry its host name; daemons check the chain only. */
  readonly verifyHost: boolean
}

export type RouterListener = ListenerPolicy & {
  readonly listen: readonly ListenAddress[]
  readonly mode: 'tunnel'
  readonly proxyProtocolFrom: readonly string[]
}

export type AuthType = 'any' | 'trust' | 'plain' | 'md5' | 'scram-sha-256' | 'cert' | 'hba'

export type RouterConfig = {
  readonly workers: number | 'auto'
  readonly runDir: string | null
  readonly listeners: readonly RouterListener[]
  readonly hold: { readonly timeoutMs: number; readonly maxClients: number }
  readonly limits: {
    readonly maxClients: number
    readonly loginTimeoutMs: number
    readonly connectTimeoutMs: number
    readonly connectWindow: number
  }
  readonly keepalive: { readonly idleMs: number }
  readonly clientTls: {
    readonly mode: ClientTls['mode']
    readonly certFile: string
    readonly keyFile: string
    readonly caFile: string | null
  } | null
  readonly serverTls: {
    readonly mode: ServerTls['mode']
    readonly caFile: string | null
    readonly certFile: string | null
    readonly keyFile: string | null
  }
  readonly shutdownGraceMs: number
  readonly pool: {
    readonly size: number
    readonly minSize: number
    readonly reserveSize: number
    readonly reserveTimeoutMs: number
    readonly queryWaitTimeoutMs: number
    readonly idleTimeoutMs: number
    readonly lifetimeMs: number
    readonly maxPreparedStatements: number
  }
  readonly auth: {
    readonly type: AuthType
    readonly file: string | null
    readonly query: string | null
    readonly user: string | null
    readonly hbaFile: string | null
  }
  readonly admin: { readonly users: readonly string[] }
}

export type LogConfig = {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'
  readonly format: 'auto' | 'json' | 'pretty'
}

export type Config = {
  readonly scope: string
  /** Empty only for purpose `ctl`. */
  readonly name: string
  /** With one slash at both ends: `/service/`. */
  readonly namespace: string
  /** `/service/demo/`. */
  readonly prefix: string
  readonly etcd: EtcdConfig
  readonly restapi: RestConfig | null
  readonly peers: PeersConfig
  readonly agent: { readonly present: boolean }
  readonly router: RouterConfig | null
  readonly vip: Readonly<Record<string, unknown>> | null
  readonly log: LogConfig
  /** The YAML as a plain object, environment laid over it. Holds secrets: never log or serve it. */
  readonly raw: unknown
}
