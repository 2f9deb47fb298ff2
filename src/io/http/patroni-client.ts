/**
 * Asks a member's Patroni API one question. A connection per request, as Patroni speaks HTTP/1.0
 * and closes. A size limit and a deadline for the whole exchange; every failure is a value.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'

/** PEM texts for members that speak https. As in Patroni, without a `ca` nothing is verified. */
export type PeerTls = {
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
  readonly passphrase: string | null
  readonly verifyHost: boolean
}

export type PeerReply =
  | { readonly kind: 'answered'; readonly status: number; readonly body: string }
  | { readonly kind: 'failed'; readonly why: string }

const BODY_BYTES_MAX = 1024 * 1024

type Limits = { readonly timeoutMs: number; readonly bodyBytesMax: number }

/** One GET of `path` at `apiUrl` (scheme and authority); settles within `timeoutMs`. */
export function askMember(
  apiUrl: string,
  path: string,
  timeoutMs: number,
  tls: PeerTls,
): Promise<PeerReply> {
  return askUrl(apiUrl, path, { timeoutMs, bodyBytesMax: BODY_BYTES_MAX }, tls)
}

/** The same with limits of the caller's choice. */
export function askUrl(
  baseUrl: string,
  path: string,
  limits: Limits,
  tls: PeerTls,
): Promise<PeerReply> {
  return new Promise((resolve) => {
    const url = parseUrl(baseUrl, path)
    if (url === null) return resolve({ kind: 'failed', why: `bad URL ${baseUrl}` })
    const asked = begin(url, tls)
    if (asked instanceof Error) return resolve({ kind: 'failed', why: describe(asked) })
    const deadline = setTimeout(() => finish('no answer in time'), limits.timeoutMs)
    const finish = (end: PeerReply | string) => {
      clearTimeout(deadline)
      asked.destroy()
      resolve(typeof end === 'string' ? { kind: 'failed', why: end } : end)
    }
    asked.on('error', (error) => finish(describe(error)))
    asked.on('response', (response) => collect(response, limits.bodyBytesMax, finish))
    asked.end()
  })
}

/** Not yet sent. PEM texts that OpenSSL does not take are answered, not thrown. */
function begin(url: URL, tls: PeerTls): ClientRequest | Error {
  const options = { agent: false, headers: { connection: 'close' } } as const
  try {
    if (url.protocol === 'http:') return httpRequest(url, options)
    return httpsRequest(url, { ...options, ...tlsOptions(tls) })
  } catch (error) {
    return error as Error
  }
}

function collect(
  response: IncomingMessage,
  bodyBytesMax: number,
  finish: (end: PeerReply | string) => void,
) {
  const chunks: Buffer[] = []
  let size = 0
  response.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > bodyBytesMax) return finish('the answer is too long')
    chunks.push(chunk)
  })
  response.on('error', (error) => finish(describe(error)))
  response.on('aborted', () => finish('the answer broke off'))
  response.on('end', () =>
    finish({
      kind: 'answered',
      status: response.statusCode ?? 0,
      body: Buffer.concat(chunks).toString('utf8'),
    }),
  )
}

function parseUrl(apiUrl: string, path: string): URL | null {
  try {
    const url = new URL(path, apiUrl)
    return url.protocol === 'http:' || url.protocol === 'https:' ? url : null
  } catch {
    return null
  }
}

/** Patroni members check each other's chain, and the host name only where they are told to. */
function tlsOptions(tls: PeerTls) {
  return {
    ...(tls.ca === null ? { rejectUnauthorized: false } : { ca: tls.ca }),
    ...(tls.cert === null ? {} : { cert: tls.cert }),
    ...(tls.key === null ? {} : { key: tls.key }),
    ...(tls.passphrase === null ? {} : { passphrase: tls.passphrase }),
    ...(tls.verifyHost ? {} : { checkServerIdentity: () => undefined }),
  }
}

function describe(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ECONNREFUSED') return 'connection refused'
  if (code === 'ECONNRESET') return 'connection reset'
  if (code === 'EHOSTUNREACH') return 'no route to host'
  return error.message || String(code)
}
