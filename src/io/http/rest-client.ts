/** Asks a pgsteer daemon's REST API, for commands. */
import { askUrl, type PeerTls } from './patroni-client.ts'

export type JsonReply =
  | { readonly kind: 'answered'; readonly status: number; readonly body: unknown }
  | { readonly kind: 'failed'; readonly why: string }

const TIMEOUT_MS = 5000
/** A list of 10,000 clients is about 4 MB. */
const BODY_BYTES_MAX = 32 * 1024 * 1024

/** One GET; anything but a 200 with JSON is `failed`. */
export async function getJson(baseUrl: string, path: string, tls: PeerTls): Promise<JsonReply> {
  const limits = { timeoutMs: TIMEOUT_MS, bodyBytesMax: BODY_BYTES_MAX }
  const reply = await askUrl(baseUrl, path, limits, tls)
  if (reply.kind === 'failed') return reply
  if (reply.status !== 200) return { kind: 'failed', why: `it answered ${reply.status}` }
  try {
    return { kind: 'answered', status: reply.status, body: JSON.parse(reply.body) }
  } catch {
    return { kind: 'failed', why: 'the answer is not JSON: is this a pgsteer?' }
  }
}
